"""Rows with different controls go through the base model together."""

import pytest
import torch
from support.comfy_host import small_model
from support.measures import relative_error
from support.sampling import Run, core, hint, ours, prompts, sample
from zeroconv.controlnet.caching.run_interval import EveryNthStep
from zeroconv.controlnet.strength.cfg_weights import CfgWeights
from zeroconv.controlnet.strength.factors import StrengthFactors
from zeroconv.host.conditioning import Unit, apply_unit
from zeroconv.host.sampling.joint_control import JointControl, join_controls
from zeroconv.host.settings import with_factors, with_run_interval

RUN = Run(steps=3)


@pytest.fixture(scope="module")
def model():
    return small_model(64)


@pytest.fixture
def passes(model, monkeypatch):
    """Rows of every pass of the base model."""
    rows = []
    unet = model.model.diffusion_model
    forward = unet._forward
    monkeypatch.setattr(unet, "_forward", lambda x, *a, **k: (rows.append(x.shape[0]), forward(x, *a, **k))[1])
    return rows


def apart(model, monkeypatch, prompt, run=RUN):
    """The same sampling with a pass for each conditioning."""
    with monkeypatch.context() as patch:
        patch.setattr(model.model, "memory_required", lambda shape, **_: 1e30 if shape[0] > run.batch else 0)
        return sample(model, [], run, prompt)


def controlled(conditioning, *units):
    for unit in units:
        conditioning, _ = apply_unit(unit, conditioning, [])
    return conditioning


def on_positive_only(control):
    positive, negative = prompts()
    return controlled(positive, Unit(control, hint())), negative


def test_a_control_on_the_positive_prompt_costs_one_pass_and_half_the_rows(model, passes):
    control = ours(1)
    sampled = sample(model, [], RUN, on_positive_only(control))
    counts = control.runner.loaded.cache.counts
    assert passes == [2] * RUN.steps
    assert (counts.forwards, counts.rows) == (RUN.steps, RUN.steps)
    passes.clear()
    by_core = sample(model, [], RUN, on_positive_only(core(1)))
    assert passes == [1] * 2 * RUN.steps, "core runs them apart, or this test shows nothing"
    assert relative_error(sampled, by_core) <= 1e-5
    assert relative_error(sampled, sample(model, [], RUN)) > 1e-2


@pytest.mark.parametrize("batch", [1, 3])
def test_other_controls_on_the_two_sides_equal_passes_of_their_own(model, passes, monkeypatch, batch):
    run = Run(steps=3, batch=batch)
    positive, negative = prompts()
    prompt = (
        controlled(positive, Unit(ours(1), hint(batch, seed=1)), Unit(core(2), hint(seed=2), 0.5)),
        controlled(negative, Unit(ours(3), hint(seed=3), 0.7)),
    )
    together = sample(model, [], run, prompt)
    assert passes == [2 * batch] * run.steps
    passes.clear()
    assert relative_error(together, apart(model, monkeypatch, prompt, run)) <= 1e-5
    assert passes == [batch] * 2 * run.steps


def test_regions_with_controls_of_their_own(model, passes, monkeypatch):
    """Four conditionings: two masked regions with a control each, the whole without, and the negative prompt."""
    positive, negative = prompts()
    left = torch.zeros(1, 64, 64)
    left[..., :32] = 1
    regions = [
        [positive[0][0].roll(number, 2), {"mask": mask, "mask_strength": 1.0}]
        for number, mask in enumerate([left, 1 - left])
    ]
    first, second = (controlled([region], Unit(ours(seed), hint(seed=seed))) for seed, region in enumerate(regions))
    prompt = [*first, *second, [positive[0][0].roll(5, 2), {}]], negative
    together = sample(model, [], RUN, prompt)
    assert passes == [4] * RUN.steps
    assert relative_error(together, apart(model, monkeypatch, prompt)) <= 1e-5


def test_one_control_for_two_of_three_conditionings_runs_once(model, passes):
    """Its rows are not side by side, and it still runs once a step, for them alone."""
    positive, negative = prompts()
    control = ours(1)
    shared = controlled([positive[0], [positive[0][0].roll(3, 2), {}]], Unit(control, hint()))
    sampled = sample(model, [], RUN, ([shared[0], positive[0], shared[1]], negative))
    counts = control.runner.loaded.cache.counts
    assert passes == [4] * RUN.steps
    assert (counts.forwards, counts.rows) == (RUN.steps, 2 * RUN.steps)
    other = core(1)
    shared = controlled([positive[0], [positive[0][0].roll(3, 2), {}]], Unit(other, hint()))
    assert relative_error(sampled, sample(model, [], RUN, ([shared[0], positive[0], shared[1]], negative))) <= 1e-5


def test_ranges_paces_and_sides_of_each(model, monkeypatch):
    run = Run(steps=4)
    positive, negative = prompts()

    def prompt():
        late = Unit(with_run_interval(ours(1), EveryNthStep(2)), hint(), 1.2, start=0.4)
        sided = with_factors(ours(2), "sides", lambda _: StrengthFactors(cfg_weights=CfgWeights(0.5, 1)))
        return controlled(positive, late), controlled(negative, Unit(sided, hint(seed=2), end=0.6))

    together = sample(model, [], run, prompt())
    assert relative_error(together, apart(model, monkeypatch, prompt(), run)) <= 1e-5


def test_a_step_that_a_cache_skips_costs_no_run(model, passes):
    from comfy_extras.nodes_easycache import EasyCacheNode

    run = Run(steps=12)
    cached = EasyCacheNode.execute(model, reuse_threshold=1.0, start_percent=0.1, end_percent=0.95, verbose=False)
    control = ours(1)
    sample(cached.args[0], [], run, on_positive_only(control))
    assert 1 < len(passes) < run.steps, "the cache must skip steps, or this test shows nothing"
    assert control.runner.loaded.cache.counts.forwards == len(passes)


class Foreign:
    """Another pack's control, of which nobody knows whether it can be asked for a part of the rows."""

    previous_controlnet = None


def entries(*controls):
    return [[{"uuid": number, "control": control} for number, control in enumerate(controls)], None]


def test_controls_of_other_packs_are_left_alone():
    foreign, own = Foreign(), ours(1)
    chained = ours(2).set_previous_controlnet(foreign)
    (first, second, third, fourth), _ = join_controls(entries(foreign, own, chained, None), {})
    assert first["control"] is foreign
    assert third["control"] is chained
    assert isinstance(second["control"], JointControl)
    assert fourth["control"] is second["control"]


def test_what_needs_no_joining_is_handed_through():
    own = ours(1)
    for conds in (entries(own, own), entries(None, None), entries(Foreign(), None), entries(Foreign(), own)):
        assert join_controls(conds, {}) is conds


def test_the_given_conditionings_are_not_changed():
    own = ours(1)
    conds = entries(own, None)
    join_controls(conds, {})
    assert conds == entries(own, None)


def test_the_host_keeps_no_conditionings_apart_for_us(model):
    """Newer hosts also give up their dynamic memory for conditionings that have hooks."""
    chain = controlled(prompts()[0], Unit(core(1), hint()), Unit(ours(1), hint()), Unit(core(2), hint()))
    assert chain[0][1]["control"].get_extra_hooks() == []


def test_hooks_that_others_give_our_control_reach_the_host():
    import comfy.hooks

    control = ours(1)
    control.extra_hooks = comfy.hooks.create_hook_lora({}, 1.0, 1.0)
    assert control.get_extra_hooks() == [control.extra_hooks]


def test_the_models_options_are_left_as_they_were(model):
    before = {key: dict(value) for key, value in model.wrappers.items()}
    sample(model, [], RUN, on_positive_only(ours(1)))
    assert {key: dict(value) for key, value in model.wrappers.items()} == before
    assert "wrappers" not in model.model_options.get("transformer_options", {})
