"""Strengths for the pictures of a batch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zeroconv.controlnet.strength.per_item import ItemStrength, ItemStrengths


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (1, 1, 1, 1)),
        ("0: 1, 1:3 = 0.5, -1: 0", (1, 0.5, 0.5, 0)),
        ("0: 0.2", (0.2, 1, 1, 1)),
        ("0 = 0.2; 3 = 0.4", (0.2, 1, 1, 0.4)),
        ("1: = 0.5", (1, 0.5, 0.5, 0.5)),
        (":2 = 0.5", (0.5, 0.5, 1, 1)),
        ("-3:-1 = 0.5", (1, 0.5, 0.5, 1)),
        ("0:4 = 0.5, 2: 2", (0.5, 0.5, 2, 0.5)),
    ],
)
def test_strengths_per_item(text, expected):
    assert ItemStrengths.parse(text).factors(4) == expected


def test_strengths_between_frames():
    assert ItemStrengths.parse("1: 0, 5: 1", interpolated=True).factors(7) == (0, 0, 0.25, 0.5, 0.75, 1, 1)
    assert ItemStrengths.parse("0: 0, -1: 1", interpolated=True).factors(5) == (0, 0.25, 0.5, 0.75, 1)
    assert ItemStrengths.parse("", interpolated=True).factors(2) == (1, 1)


def test_frames_of_a_video_of_unknown_length():
    strengths = ItemStrengths.parse("2: 0, 40: 1", interpolated=True)
    assert strengths.at_frames((0, 2, 21, 60)) == pytest.approx((0, 0, 0.5, 1))
    assert ItemStrengths.parse("3: = 0.5").at_frames((1, 2, 3, 4)) == (1, 1, 0.5, 0.5)
    assert ItemStrengths.parse("-1: 0").at_frames((6, 7), total=8) == (1, 0)
    with pytest.raises(ValueError, match="Count from the start"):
        ItemStrengths.parse("-1: 0").at_frames((6, 7))


ENTRIES = st.builds(
    lambda first, stop, strength, open_end: ItemStrength(first, stop, strength, open_end and stop is None),
    st.integers(-9, 8),
    st.none() | st.integers(-9, 9),
    st.floats(-10, 10),
    st.booleans(),
)


@given(st.lists(ENTRIES, max_size=5))
def test_the_text_reads_back(entries):
    strengths = ItemStrengths(tuple(entries))
    assert ItemStrengths.parse(str(strengths)) == strengths


@given(st.lists(ENTRIES, max_size=5), st.booleans())
def test_factors_are_those_of_python_indexing(entries, interpolated):
    count = 9
    wanted = [1.0] * count
    given_factors = ItemStrengths(tuple(entries), interpolated).factors(count)
    named = set()
    for entry in entries:
        alone = entry.stop is None and not entry.open_end
        places = [range(count)[entry.first]] if alone else range(count)[entry.first : entry.stop]
        for place in places:
            wanted[place] = entry.strength
            named.add(place)
    for place in range(count) if not interpolated else named:
        assert given_factors[place] == wanted[place]


@pytest.mark.parametrize(
    ("text", "says"),
    [("4: 1", "item 4, but the batch has 4"), ("-5: 1", "item -5"), ("0:6 = 1", "reaches to item 6")],
)
def test_an_item_that_is_not_there_is_named_with_the_count(text, says):
    with pytest.raises(ValueError, match=f"{says}.* 4 items|{says}"):
        ItemStrengths.parse(text).factors(4)


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("x", "^"),
        ("0 1", "0 ^"),
        ("0: 1, 1:3 0.5", "0: 1, 1:3 ^"),
        ("0: 1, 1:2.5 = 0.5", "0: 1, 1:^"),
        (":2 0.5", ":2 ^"),
        ("1.5: 1", "1^"),
        ("0: one", "0: ^"),
    ],
)
def test_a_mistake_is_marked(text, marked):
    with pytest.raises(ValueError, match="strengths per item has a mistake") as error:
        ItemStrengths.parse(text)
    _, line, mark = str(error.value).split("\n")
    assert line[: mark.index("^")] + "^" == marked


@given(st.text(alphabet="0123456789.:,;= \n-", max_size=20))
def test_any_text_gives_strengths_or_a_marked_mistake(text):
    strengths, problem = None, "^"
    try:
        strengths = ItemStrengths.parse(text)
    except ValueError as error:
        problem = str(error)
    assert problem.split("\n")[-1].strip() == "^"
    assert strengths is None or ItemStrengths.parse(str(strengths)) == strengths
