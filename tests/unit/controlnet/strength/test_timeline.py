"""Which step a noise level belongs to, and which steps a range runs by each program's rule."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from zeroconv.controlnet.strength.timeline import RANGE_COUNTINGS, SamplingTimeline, Span

FALLING = SamplingTimeline(tuple(1 - i / 20 for i in range(21)), lambda percent: 1 - percent)


def active(span, timeline=FALLING):
    return [i for i, sigma in enumerate(timeline.sigmas[:-1]) if timeline.inside(sigma, span)]


@pytest.mark.parametrize(
    ("start", "end"), [(0, 0.2), (0, 0.5), (0, 0.8), (0.5, 1), (0.33, 0.66), (0, 1), (1, 1), (0, 0)]
)
def test_steps_follow_the_programs_formulas(start, end):
    n = 20
    # diffusers StableDiffusionControlNetPipeline: controlnet_keep
    diffusers = [i for i in range(n) if not (i / n < start or (i + 1) / n > end)]
    # sd-webui-controlnet hook.py: current_sampling_percent
    webui = [i for i in range(n) if not (i / n < start or i / n > end)]
    assert active(Span(start, end, "steps")) == diffusers
    assert active(Span(start, end, "steps (A1111)")) == webui


def test_adjacent_ranges_in_steps_share_no_step():
    first, second = active(Span(0, 0.5, "steps")), active(Span(0.5, 1, "steps"))
    assert sorted(first + second) == list(range(20))


def test_a_second_pass_counts_its_own_steps():
    second_pass = SamplingTimeline(FALLING.sigmas[10:], FALLING.percent_to_sigma)
    assert second_pass.steps == 10
    assert active(Span(0, 0.5, "steps"), second_pass) == [0, 1, 2, 3, 4]
    # Timesteps are those of the model: the second pass begins at half of them.
    assert active(Span(0, 0.5, "timesteps"), second_pass) == [0]
    assert second_pass.position(second_pass.sigmas[0], "timesteps") == 0.5


def test_evaluations_between_two_steps_belong_to_the_earlier():
    assert [FALLING.step(sigma) for sigma in (2.0, 1.0, 0.97, 0.95, 0.94, 0.05, 0.01, 0.0)] == [
        0,
        0,
        0,
        1,
        1,
        19,
        19,
        19,
    ]


@given(st.floats(0, 1))
def test_position_in_timesteps_inverts_the_host_function(percent):
    bent = SamplingTimeline((14.0, 0.0), lambda p: 14 * (1 - p) ** 3)
    assert bent.position(14 * (1 - percent) ** 3, "timesteps") == pytest.approx(percent, abs=2e-6)


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from(RANGE_COUNTINGS))
def test_a_range_is_one_run_of_steps(start, end, counting):
    assume(start <= end)
    steps = active(Span(start, end, counting))
    assert steps == list(range(steps[0], steps[-1] + 1)) if steps else True


@pytest.mark.parametrize("counting", RANGE_COUNTINGS)
def test_the_whole_range_runs_every_step(counting):
    assert active(Span(0, 1, counting)) == list(range(20))


@pytest.mark.parametrize(("start", "end", "says"), [(0.6, 0.4, "after its end"), (-0.1, 1, "0..1"), (0, 1.1, "0..1")])
def test_a_range_that_cannot_be_is_refused(start, end, says):
    with pytest.raises(ValueError, match=says):
        Span(start, end)
