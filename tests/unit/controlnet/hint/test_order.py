"""Which hint goes to which picture of a batch."""

import pytest
from zeroconv.controlnet.hint.order import HINT_ORDERS, NO_HINT, hint_indices, parse_frames, spread_hints


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
