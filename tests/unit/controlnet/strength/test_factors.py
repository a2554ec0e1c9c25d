"""What one control carries: factors compose, and what is left out costs nothing."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from zeroconv.controlnet.strength.block_weights import Listed, Soft, Uniform
from zeroconv.controlnet.strength.cfg_weights import CfgWeights
from zeroconv.controlnet.strength.control_mode import control_mode
from zeroconv.controlnet.strength.factors import StepRows, StrengthFactors
from zeroconv.controlnet.strength.mask import Mask
from zeroconv.controlnet.strength.per_item import ItemStrengths
from zeroconv.controlnet.strength.schedule import Schedule
from zeroconv.controlnet.strength.timeline import SamplingTimeline

RUN = SamplingTimeline(tuple(1 - i / 10 for i in range(11)), lambda percent: 1 - percent)
BOTH = StepRows((0, 1), 3)


def test_the_default_is_no_factor_at_all():
    factors = StrengthFactors()
    assert factors.plan(RUN) == (1.0,) * 10
    assert factors.residual_factors(13) is None
    assert factors.rows(BOTH) is None
    assert not factors.is_zero
    scales = factors.scales(1.0, 13, BOTH, (8, 8))
    assert (scales.blocks, scales.rows, scales.mask) == (None, None, None)


def test_factors_of_one_are_left_out():
    ones = StrengthFactors(
        schedule=Schedule.parse("0: 1, 1: 1"),
        block_weights=Uniform(1),
        cfg_weights=CfgWeights(),
        items=ItemStrengths.parse("0:3 = 1"),
        mask=Mask(torch.ones(4, 4)),
    ).simplified()
    assert (ones.schedule, ones.cfg_weights, ones.items, ones.mask) == (None, None, None, None)
    assert ones.residual_factors(13) is None


@pytest.mark.parametrize(
    "factors",
    [
        StrengthFactors(schedule=Schedule.parse("0: 0")),
        StrengthFactors(cfg_weights=CfgWeights(0, 0)),
        StrengthFactors(mask=Mask(torch.zeros(4, 4))),
    ],
)
def test_a_factor_of_zero_stops_everything(factors):
    assert factors.is_zero
    assert factors.plan(RUN) == (0.0,) * 10


def test_range_and_schedule_together():
    factors = StrengthFactors("steps", Schedule.parse("0: 1, 0.5: 0", "steps"))
    assert factors.plan(RUN, 0.1, 0.4) == pytest.approx((0, 0.8, 0.6, 0.4, 0, 0, 0, 0, 0, 0))


@pytest.mark.parametrize("counting", ["timesteps", "steps", "steps (A1111)"])
def test_range_and_schedule_may_count_differently(counting):
    factors = StrengthFactors("steps", Schedule.parse("0.75: 1, 0.25: 0", "sigma"))
    plan = StrengthFactors(counting, factors.schedule).plan(RUN)
    assert plan == pytest.approx((1, 1, 1, 0.9, 0.7, 0.5, 0.3, 0.1, 0, 0))


def test_rows_are_sides_times_items():
    factors = StrengthFactors(cfg_weights=CfgWeights(1, 0.5), items=ItemStrengths.parse("0: 0.2, 2: 0"))
    assert factors.rows(BOTH) == (0.2, 1, 0, 0.1, 0.5, 0)
    assert factors.rows(StepRows((1,), 3)) == (0.1, 0.5, 0)
    assert factors.rows(StepRows((1, 0), 3)) == (0.1, 0.5, 0, 0.2, 1, 0)


def test_cond_only_on_a_step_of_the_cond_alone_costs_nothing():
    assert StrengthFactors(cfg_weights=CfgWeights(1, 0)).rows(StepRows((0,), 3)) is None


def test_context_windows_take_the_strengths_of_their_frames():
    factors = StrengthFactors(items=ItemStrengths.parse("0: 0, 9: 0.9", interpolated=True))
    assert factors.rows(StepRows((0,), 3, window=(4, 5, 6), total=10)) == pytest.approx((0.4, 0.5, 0.6))
    assert factors.rows(StepRows((0,), 3, window=(4, 5, 6))) == pytest.approx((0.4, 0.5, 0.6))


def test_a_mask_for_each_picture_goes_to_the_rows_of_each_group():
    mask = Mask(torch.rand(3, 8, 8))
    assert StrengthFactors(mask=mask).scales(1.0, 13, BOTH, (8, 8)).mask_rows == (0, 1, 2, 0, 1, 2)
    with pytest.raises(ValueError, match="3 masks for 2 latents"):
        StrengthFactors(mask=mask).scales(1.0, 13, StepRows((0, 1), 2), (8, 8))


def test_a_mode_sets_sides_and_weights_and_nothing_else():
    schedule = Schedule.parse("0: 0.5")
    shaped = StrengthFactors("steps", schedule).in_mode(control_mode("control"))
    assert (shaped.cfg_weights, shaped.block_weights) == (CfgWeights(1, 0), Soft())
    assert (shaped.counting, shaped.schedule) == ("steps", schedule)
    balanced = shaped.in_mode(control_mode("balanced"))
    assert (balanced.cfg_weights, balanced.block_weights) == (None, None)


@pytest.mark.parametrize(
    ("weights", "count", "needed"),
    [(None, 13, 13), (Listed((1, 0)), 3, 2), (Listed((1, 1, 0, 0)), 4, 2), (Uniform(0), 13, 0)],
)
def test_how_much_of_the_network_is_needed(weights, count, needed):
    assert StrengthFactors(block_weights=weights).needed(count) == needed


@pytest.mark.parametrize(
    ("counting", "schedule", "counts"),
    [
        ("timesteps", None, False),
        ("steps", None, True),
        ("timesteps", "steps", True),
        ("timesteps", "sigma", False),
    ],
)
def test_knows_whether_it_needs_the_steps_of_the_run(counting, schedule, counts):
    given_schedule = Schedule.parse("0: 1", schedule) if schedule else None
    assert StrengthFactors(counting, given_schedule).counts_steps is counts


@given(st.lists(st.floats(0, 2), min_size=1, max_size=5), st.floats(0, 1), st.floats(0, 1))
def test_outside_the_range_nothing_acts(strengths, start, end):
    start, end = sorted((start, end))
    keyframes = ", ".join(f"{i / 5}: {s!r}" for i, s in enumerate(strengths))
    plan = StrengthFactors(schedule=Schedule.parse(keyframes)).plan(RUN, start, end)
    for i, factor in enumerate(plan):
        if not start - 1e-6 <= i / 10 <= end + 1e-6:
            assert factor == 0
