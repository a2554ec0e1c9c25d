"""Hints and strengths for the pictures of a batch."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zeroconv.controlnet.hint.order import (
    HINT_ORDERS,
    NO_HINT,
    ItemStrength,
    ItemStrengths,
    hint_indices,
    parse_frames,
    spread_hints,
)


@pytest.mark.parametrize(
    ("hints", "pictures", "order", "expected"),
    [
        (3, 3, "one each", (0, 1, 2)),
        (1, 3, "one each", (0, 0, 0)),
        (2, 5, "repeat", (0, 1, 0, 1, 0)),
        (2, 5, "hold last", (0, 1, 1, 1, 1)),
        (3, 2, "repeat", (0, 1)),
        (3, 2, "hold last", (0, 1)),
        (3, 2, "first for all", (0, 0)),
    ],
)
def test_orders(hints, pictures, order, expected):
    assert hint_indices(hints, pictures, order) == expected


@pytest.mark.parametrize("order", HINT_ORDERS)
@pytest.mark.parametrize("pictures", [1, 4])
def test_one_hint_serves_all_pictures(order, pictures):
    assert hint_indices(1, pictures, order) == (0,) * pictures


@pytest.mark.parametrize("order", HINT_ORDERS)
def test_a_hint_for_every_picture_needs_no_order(order):
    expected = (0,) * 4 if order == "first for all" else (0, 1, 2, 3)
    assert hint_indices(4, 4, order) == expected


@pytest.mark.parametrize(
    ("order", "expected"),
    [("repeat", (0, 1, 2)), ("hold last", (2, 2, 2)), ("first for all", (0, 0, 0))],
)
def test_a_context_window_takes_the_hints_of_its_frames(order, expected):
    assert hint_indices(8, 3, "one each", window=[5, 6, 7]) == (5, 6, 7)
    assert hint_indices(8, 3, "one each", window=[7, 0, 1]) == (7, 0, 1)
    assert hint_indices(3, 3, order, window=[3, 4, 5]) == expected


@pytest.mark.parametrize(("hints", "pictures", "window"), [(2, 5, None), (5, 2, None), (4, 2, [3, 4])])
def test_counts_that_do_not_fit_are_named(hints, pictures, window):
    wanted = max(window) + 1 if window else pictures
    with pytest.raises(ValueError, match=f"{hints} hint images for {wanted} latents"):
        hint_indices(hints, pictures, "one each", window)


def test_a_window_of_another_length_is_refused():
    with pytest.raises(ValueError, match="2 frames, but 3 latents"):
        hint_indices(4, 3, "repeat", window=[0, 1])


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


@pytest.mark.parametrize(
    ("hints", "total", "chosen", "expected"),
    [
        (1, 4, (), {0: 0}),
        (2, 9, (), {0: 0, 8: 1}),
        (3, 16, (), {0: 0, 7: 1, 15: 2}),
        (4, 2, (), {0: 0, 1: 1}),
        (1, 1, (), {0: 0}),
        (2, 9, (8, 3), {8: 0, 3: 1}),
        (2, 9, (-1, 0), {8: 0, 0: 1}),
    ],
)
def test_hints_are_spread_over_a_video(hints, total, chosen, expected):
    spread = spread_hints(hints, range(total), total, chosen)
    assert {frame: index for frame, index in enumerate(spread) if index != NO_HINT} == expected


def test_a_window_gets_the_hints_of_its_frames():
    assert spread_hints(2, (4, 5, 6, 7), 12, (5, 11)) == (NO_HINT, 0, NO_HINT, NO_HINT)
    assert spread_hints(2, (4, 5, 6, 7), None, (5, 11)) == (NO_HINT, 0, NO_HINT, NO_HINT)
    for chosen in ((), (0, -1)):
        with pytest.raises(ValueError, match="does not tell how many frames"):
            spread_hints(2, (4, 5, 6, 7), None, chosen)


def test_frame_lists_are_read_and_mistakes_marked():
    assert parse_frames(" 0, 8,-1 ") == (0, 8, -1)
    assert parse_frames("") == ()
    with pytest.raises(ValueError, match=r"\^"):
        parse_frames("0, two")
