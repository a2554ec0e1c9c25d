"""Schedules: the text, the curve between keyframes, and mistakes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zeroconv.controlnet.strength.schedule import INTERPOLATIONS, Keyframe, Schedule

FRACTIONS = st.floats(0, 1)
STRENGTHS = st.floats(-10, 10)


@st.composite
def schedules(draw, counting=None):
    counting = counting or draw(st.sampled_from(["timesteps", "steps", "steps (A1111)", "sigma"]))
    positions = draw(st.lists(FRACTIONS if counting != "sigma" else st.floats(0, 1000), min_size=1, max_size=6))
    positions.sort(reverse=counting == "sigma")
    keyframes = [Keyframe(p, draw(STRENGTHS), draw(st.sampled_from(INTERPOLATIONS))) for p in positions]
    return Schedule(tuple(keyframes), counting)


@given(schedules())
def test_the_text_reads_back_as_the_same_schedule(schedule):
    assert Schedule.parse(str(schedule), schedule.counting) == schedule


@given(schedules(), st.floats(0, 1000))
def test_stays_between_the_keyframes_around(schedule, position):
    strengths = [keyframe.strength for keyframe in schedule.keyframes]
    assert min(strengths) - 1e-9 <= schedule.factor(position) <= max(strengths) + 1e-9


@given(schedules())
def test_at_a_keyframe_it_is_the_last_one_there(schedule):
    for keyframe in schedule.keyframes:
        there = [k.strength for k in schedule.keyframes if k.position == keyframe.position]
        assert schedule.factor(keyframe.position) == there[-1]


@given(schedules("timesteps"), FRACTIONS, STRENGTHS)
def test_an_added_keyframe_is_met(schedule, position, strength):
    assert schedule.with_keyframe(Keyframe(position, strength)).factor(position) == strength


@given(STRENGTHS, FRACTIONS)
def test_one_keyframe_is_the_same_everywhere(strength, position):
    assert Schedule((Keyframe(0.5, strength),)).factor(position) == strength


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("0: 1.0, 0.5: 0.6 ease, 1: 0", 0.0, 1.0),
        ("0: 1.0, 0.5: 0.6 ease, 1: 0", 0.25, 0.8),
        ("0: 1.0, 0.5: 0.6 ease, 1: 0", 0.75, 0.3),
        ("0: 1.0, 0.5: 0.6 ease, 1: 0", 0.625, 0.6 * (1 - 0.15625)),  # 3/16 - 2/64
        ("0: 0 ease in, 1: 1", 0.25, 0.0625),
        ("0: 0 ease out, 1: 1", 0.25, 0.4375),
        ("0: 0 ease in-out, 1: 1", 0.25, 0.15625),
        ("0: 0.3 hold, 0.5: 1", 0.499, 0.3),
        ("0: 0.3 hold, 0.5: 1", 0.5, 1.0),
        ("0.2: 0.4, 0.8: 1", 0.0, 0.4),
        ("0.2: 0.4, 0.8: 1", 1.0, 1.0),
        ("0: 1, 0.5: 1, 0.5: 0", 0.5, 0.0),
        ("0: 1, 0.5: 1, 0.5: 0", 0.49999, 1.0),
        ("0: 1\n1: 0", 0.5, 0.5),
        (" 0 :1 ; 1:0 ; ", 0.5, 0.5),
    ],
)
def test_factors_by_hand(text, position, expected):
    assert Schedule.parse(text).factor(position) == pytest.approx(expected, abs=1e-12)


def test_sigmas_fall():
    schedule = Schedule.parse("14: 1, 4: 0.5, 0: 0", "sigma")
    assert [schedule.factor(sigma) for sigma in (20, 14, 9, 4, 1, 0)] == [1, 1, 0.75, 0.5, 0.125, 0]


@pytest.mark.parametrize(
    ("text", "counting", "marked", "says"),
    [
        ("", "timesteps", "^", "no keyframe"),
        ("0: 1, 0.5 0.6", "timesteps", "0: 1, 0.5 ^", "expected ':'"),
        ("0: 1, 0.5: fast", "timesteps", "0: 1, 0.5: ^", "a strength"),
        ("0: 1 quick, 1: 0", "timesteps", "0: 1 ^", "not an interpolation"),
        ("0: 1, 1.5: 0", "timesteps", "0: 1, ^", "outside 0..1"),
        ("0: 1, 0.6: 0, 0.4: 1", "timesteps", "0: 1, 0.6: 0, ^", "positions must rise"),
        ("1: 1, 5: 0", "sigma", "1: 1, ^", "sigmas fall"),
        ("-1: 1", "sigma", "^", "not a sigma"),
        ("0: 1\n0.5; 1", "timesteps", "0.5^", "expected ':'"),
        ("0: 1 0.5: 1", "timesteps", "0: 1 ^", "comma"),
        ("0: 1e999", "timesteps", "0: ^", "too large"),
    ],
)
def test_a_mistake_is_marked(text, counting, marked, says):
    with pytest.raises(ValueError, match="schedule has a mistake") as error:
        Schedule.parse(text, counting)
    message, line, mark = str(error.value).split("\n")
    assert says in message
    assert line[: mark.index("^")] + "^" == marked


@given(st.text(alphabet="0123456789.:,; \n-eashold", max_size=30))
def test_any_text_gives_a_schedule_or_a_marked_mistake(text):
    try:
        schedule = Schedule.parse(text)
    except ValueError as error:
        _, line, mark = str(error).split("\n")
        assert mark.strip() == "^"
        assert len(mark) <= len(line) + 1
    else:
        assert Schedule.parse(str(schedule)) == schedule


def test_knows_when_it_changes_nothing():
    assert Schedule.parse("0: 1, 1: 1").is_one
    assert not Schedule.parse("0: 1, 1: 0.9").is_one
    assert Schedule.parse("0: 0, 1: 0").is_zero
    assert not Schedule.parse("0: 0, 1: 0.1").is_zero


def test_a_schedule_needs_a_keyframe():
    with pytest.raises(ValueError, match="no keyframe"):
        Schedule(())
