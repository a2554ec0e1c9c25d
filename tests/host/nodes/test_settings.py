"""Schedules, weights, masks and sides in real sampling: exact where they are whole, free where they are zero."""

import pytest
import torch
from support.comfy_host import small_model
from support.measures import relative_error
from support.sampling import Run, hint, ours, prompts, sample
from zeroconv.controlnet.strength.block_weights import Listed
from zeroconv.controlnet.strength.cfg_weights import CfgWeights
from zeroconv.controlnet.strength.factors import StrengthFactors
from zeroconv.controlnet.strength.per_item import ItemStrengths
from zeroconv.controlnet.strength.schedule import Schedule
from zeroconv.host.conditioning import Unit, apply_unit

RESIDUALS = 13


@pytest.fixture(scope="module")
def model():
    return small_model(64)


def shaped(**factors):
    return ours(1).with_settings(factors=StrengthFactors(**factors))


def test_whole_factors_are_bit_identical_to_none(model):
    whole = Unit(
        ours(1),
        hint(),
        mask=torch.ones(1, 16, 16),
        schedule=Schedule.parse("0: 1, 0.5: 1, 1: 1"),
        block_weights=Listed((1.0,) * RESIDUALS),
    )
    assert torch.equal(sample(model, [whole], Run()), sample(model, [Unit(ours(1), hint())], Run()))


@pytest.mark.parametrize(
    "unit",
    [
        {"mask": torch.zeros(1, 16, 16)},
        {"schedule": Schedule.parse("0: 0, 1: 0")},
        {"block_weights": Listed((0.0,) * RESIDUALS)},
    ],
    ids=["mask", "schedule", "block weights"],
)
def test_a_zero_factor_is_no_control_and_runs_nothing(model, unit):
    control = ours(1)
    controlled = sample(model, [Unit(control, hint(), **unit)], Run())
    assert torch.equal(controlled, sample(model, [], Run()))
    assert control.runner.loaded.cache.counts.forwards == 0


def test_schedule_zeros_run_nothing(model):
    control = ours(1)
    schedule = Schedule.parse("0: 1 hold, 0.5: 0 hold, 1: 0", "steps")
    sample(model, [Unit(control, hint(), schedule=schedule)], Run(steps=8))
    assert control.runner.loaded.cache.counts.forwards == 4


def test_a_schedule_equals_the_range_that_it_describes(model):
    scheduled = Unit(ours(1), hint(), schedule=Schedule.parse("0: 0.7 hold, 0.5: 0 hold, 1: 0", "steps"))
    by_range = Unit(ours(1), hint(), strength=0.7, end=0.5)
    a, b = (sample(model, [unit], Run(steps=8)) for unit in (scheduled, by_range))
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def test_cond_only_runs_half_the_rows(model):
    control = shaped(cfg_weights=CfgWeights(1, 0))
    sample(model, [Unit(control, hint())], Run(steps=4, batch=2))
    assert control.runner.loaded.cache.counts.rows == 4 * 2
    assert control.runner.loaded.cache.counts.forwards == 4


def test_cond_only_equals_control_on_the_positive_alone(model):
    positive, negative = prompts()
    controlled, _ = apply_unit(Unit(ours(1), hint()), positive, negative)
    separate = sample(model, [], Run(), (controlled, negative))
    together = sample(model, [Unit(shaped(cfg_weights=CfgWeights(1, 0)), hint())], Run())
    # The UNet's halves run alone on one side and together on the other: equal to its own rounding.
    assert relative_error(together, separate) <= 1e-4


def test_strengths_per_item_equal_single_runs(model):
    """The same noise in every picture, so that the batch is three runs of one picture."""
    run = Run(batch=3)
    strengths = (1.0, 0.4, 0.0)
    together = sample(model, [Unit(shaped(items=ItemStrengths.parse("1: 0.4, 2: 0")), hint())], run)
    for index, strength in enumerate(strengths):
        alone = sample(model, [Unit(ours(1), hint(), strength)], run)
        torch.testing.assert_close(together[index], alone[index], rtol=1e-4, atol=1e-4)


def test_two_half_masks_equal_a_whole_one(model):
    left = torch.zeros(1, 64, 64)
    left[:, :, :32] = 1
    halves = [Unit(ours(1), hint(), mask=left), Unit(ours(1), hint(), mask=1 - left)]
    whole = [Unit(ours(1), hint())]
    torch.testing.assert_close(sample(model, halves, Run()), sample(model, whole, Run()), rtol=1e-4, atol=1e-4)


def test_residuals_are_exactly_zero_outside_the_mask(model):
    mask = torch.zeros(1, 64, 64)
    mask[:, :, :16] = 1
    positive, _ = apply_unit(Unit(ours(1), hint(), mask=mask), *prompts())
    control = positive[0][1]["control"]
    control.pre_run(model.model, model.model.model_sampling.percent_to_sigma)
    with torch.inference_mode():
        result = control.get_control(
            torch.randn(2, 4, 8, 8), torch.full((2,), 3.0), {"c_crossattn": torch.randn(2, 77, 768)}, 2, {}
        )
    first = result["output"][0]
    assert first[..., :2].any()
    assert not first[..., 2:].any()


def test_a_zero_tail_of_weights_cuts_the_network(model):
    weights = Listed((1.0, 0.5) + (0.0,) * (RESIDUALS - 2))
    positive = sample(model, [Unit(ours(1), hint(), block_weights=weights)], Run())
    plain = sample(model, [], Run())
    assert not torch.allclose(positive, plain)
    control = ours(1)
    deep = [0]
    network = control.runner.loaded.network
    handle = network.middle_block[0].register_forward_hook(lambda *_: deep.__setitem__(0, deep[0] + 1))
    sample(model, [Unit(control, hint(), block_weights=weights)], Run())
    handle.remove()
    assert deep == [0]


@pytest.mark.parametrize(("order", "indices"), [("repeat", [0, 1, 0]), ("hold last", [0, 1, 1])])
def test_hint_orders_spread_few_hints(model, order, indices):
    few, spread = hint(2), hint(2)[indices]
    control = ours(1).with_settings(hint_order=order)
    torch.testing.assert_close(
        sample(model, [Unit(control, few)], Run(batch=3)),
        sample(model, [Unit(ours(1), spread)], Run(batch=3)),
        rtol=1e-4,
        atol=1e-4,
    )
    assert control.runner.loaded.cache.counts.hint_embeddings == 1


def test_settings_survive_copies():
    control = shaped(cfg_weights=CfgWeights(1, 0)).with_settings(hint_order="repeat")
    assert control.copy().settings is control.settings
    assert (control.settings.hint_order, control.settings.factors.cfg_weights) == ("repeat", CfgWeights(1, 0))
