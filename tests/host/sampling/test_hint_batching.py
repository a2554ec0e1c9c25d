"""Several hints of one network in a chain: one run gives what core gives with a network for each."""

import pytest
import torch
from support.comfy_host import small_model
from support.measures import relative_error
from support.sampling import Run, core, hint, ours, prompts, sample
from zeroconv.controlnet.caching.run_interval import EveryNthStep
from zeroconv.controlnet.strength.block_weights import Listed
from zeroconv.controlnet.strength.cfg_weights import CfgWeights
from zeroconv.controlnet.strength.factors import StrengthFactors
from zeroconv.controlnet.strength.per_item import ItemStrengths
from zeroconv.host.conditioning import Unit, apply_unit
from zeroconv.host.sampling import hint_batching as joint_runs

HINTS = 3


@pytest.fixture(scope="module")
def model():
    return small_model(64)


def chain(make, hints=1, ends=(1.0, 1.0, 0.5)):
    """Units with hints and strengths of their own; the last one only in the first half of the steps."""
    return [
        Unit(make(), hint(hints, seed=seed), strength=strength, end=end)
        for seed, strength, end in zip(range(HINTS), (0.8, 1.3, 0.4), ends, strict=True)
    ]


def one_network(**settings):
    """Controls of one network, as a Load node gives them to several Apply nodes."""
    control = ours(1)
    return control, chain(lambda: control, **settings)


@pytest.mark.parametrize(
    ("run", "hints"),
    [
        (Run(), 1),
        (Run(batch=3), 1),
        (Run(batch=3), 3),
        (Run(cfg=1.0), 1),
        (Run(sampler="euler_ancestral", batch=2, height=72, width=104), 1),
    ],
    ids=str,
)
def test_equal_to_core(model, run, hints):
    control, units = one_network(hints=hints)
    expected = sample(model, chain(lambda: core(1), hints), run)
    given = sample(model, units, run)
    assert relative_error(given, expected) <= 1e-5
    assert control.runner.loaded.cache.counts.forwards == run.steps
    only_one = sample(model, units[:1], run)
    assert relative_error(only_one, given) > 1e-3, "the other hints must matter"


def test_the_network_runs_once_a_step_for_all_hints(model):
    control, units = one_network(ends=(1.0, 1.0, 1.0))
    sample(model, units, Run(steps=5))
    counts = control.runner.loaded.cache.counts
    assert (counts.hint_embeddings, counts.context_projections) == (HINTS, 1)
    assert (counts.forwards, counts.rows) == (5, 5 * 2 * HINTS)


def test_no_run_is_larger_than_the_bound(model, monkeypatch):
    """Two hints of a 64 px picture, with cond and uncond: four hints have two runs, or one each."""
    control, units = one_network(ends=(1.0, 1.0, 1.0))
    units.append(Unit(control, hint(seed=HINTS), strength=0.9))
    everything = [*chain(lambda: core(1), ends=(1.0, 1.0, 1.0)), Unit(core(1), hint(seed=HINTS), strength=0.9)]
    expected, counts = sample(model, everything, Run(steps=3)), control.runner.loaded.cache.counts
    for bound, forwards in ((2 * 2 * 8 * 8, 2 * 3), (1, (2 + 4) * 3)):
        monkeypatch.setattr(joint_runs, "MOST_POINTS", bound)
        assert relative_error(sample(model, units, Run(steps=3)), expected) <= 1e-5
        assert counts.forwards == forwards


def test_other_networks_and_resting_ones_run_apart(model):
    """What has other weights, other pictures to act on or fewer runs is another question."""
    control, other = ours(1), ours(2)
    resting = control.with_settings(run_interval=EveryNthStep(2))
    units = [Unit(made, hint(seed=seed)) for seed, made in enumerate((control, other, resting, control))]
    expected = sample(model, [Unit(core(n), hint(seed=seed)) for seed, n in enumerate((1, 2, 1, 1))], Run(steps=1))
    given = sample(model, units, Run(steps=1))
    assert relative_error(given, expected) <= 1e-5
    assert (control.runner.loaded.cache.counts.forwards, other.runner.loaded.cache.counts.forwards) == (2, 1)


@pytest.mark.parametrize(
    "factors",
    [
        {"items": ItemStrengths.parse("0: 1, 1: 0")},
        {"cfg_weights": CfgWeights(1.0, 0.0)},
        {"block_weights": Listed((1.0, 0.5) + (0.0,) * 11)},
    ],
    ids=["one picture", "one side", "first residuals"],
)
def test_hints_for_other_rows_or_residuals_run_apart(model, factors):
    def units(first, second):
        first = first.with_settings(factors=StrengthFactors(**factors))
        return [Unit(first, hint(seed=1)), Unit(second, hint(seed=2)), Unit(second, hint(seed=3))]

    control, run = ours(1), Run(batch=2, steps=2)
    expected = sample(model, units(ours(1), ours(1)), run)
    given = sample(model, units(control, control.copy()), run)
    assert relative_error(given, expected) <= 1e-6
    assert control.runner.loaded.cache.counts.forwards == 2 * run.steps


def test_each_step_has_runs_of_its_own(model):
    """Residuals that nobody took at one step are not given at the next."""
    control = ours(1)
    positive, _ = prompts()
    for seed in range(2):
        positive, _ = apply_unit(Unit(control, hint(seed=seed)), positive, positive)
    outermost = positive[0][1]["control"]
    outermost.pre_run(model.model, model.model.model_sampling.percent_to_sigma)
    cond, options = {"c_crossattn": torch.randn(1, 77, 768)}, {"cond_or_uncond": [0]}
    x, sigma = torch.randn(2, 1, 4, 8, 8), torch.full((1,), 3.0)
    with torch.inference_mode():
        outermost.get_control(x[0], sigma, cond, 1, options)  # nobody takes these
        left = outermost.get_control(x[1], sigma, cond, 1, options)["output"][0].clone()
        again = outermost.get_control(x[1], sigma, cond, 1, options)["output"][0].clone()
    assert torch.equal(left, again)
    assert control.runner.loaded.cache.counts.forwards == 2
