"""Fewer runs in real sampling: how many, how near, and that nothing stays behind; what is recorded of them."""

import pytest
import torch
from support.comfy_host import small_model
from support.measures import relative_error
from support.sampling import Cancelled, Run, cancel_at, core, hint, ours, prompts, sample
from zeroconv.controlnet.caching.run_interval import Adaptive, EveryNthStep
from zeroconv.controlnet.strength.cfg_weights import CfgWeights
from zeroconv.controlnet.strength.factors import StrengthFactors
from zeroconv.controlnet.strength.schedule import Schedule
from zeroconv.host.conditioning import Unit, apply_unit
from zeroconv.host.preview import SamplerSettings, forecast_steps, records_of, timeline_of
from zeroconv.host.settings import with_record, with_run_interval

STEPS = 8


@pytest.fixture(scope="module")
def model():
    return small_model(64)


def paced(run_interval, seed=1):
    return with_run_interval(ours(seed), run_interval)


def controlled(*units):
    """Prompts with these units, and the controls in them, which the sampler is given."""
    positive, negative = prompts()
    for unit in units:
        positive, negative = apply_unit(unit, positive, negative)
    return (positive, negative), positive[0][1]["control"]


@pytest.mark.parametrize("run_interval", [EveryNthStep(1), Adaptive(0.0)], ids=str)
def test_a_pace_that_never_rests_is_bit_identical_to_none(model, run_interval):
    run = Run(steps=STEPS)
    exact = sample(model, [Unit(ours(1), hint())], run)
    control = paced(run_interval)
    assert torch.equal(sample(model, [Unit(control, hint())], run), exact)
    assert control.runner.loaded.cache.counts.forwards == STEPS


@pytest.mark.parametrize("sampler", ["euler", "euler_ancestral", "dpmpp_2m", "uni_pc"])
@pytest.mark.parametrize(("n", "forwards"), [(2, 4), (3, 3), (8, 1)])
def test_every_nth_step_divides_the_forwards(model, sampler, n, forwards):
    control = paced(EveryNthStep(n))
    sample(model, [Unit(control, hint())], Run(steps=STEPS, sampler=sampler))
    assert control.runner.loaded.cache.counts.forwards == forwards


@pytest.mark.parametrize("sampler", ["heun", "dpm_2", "dpmpp_2s_ancestral"])
def test_samplers_that_evaluate_twice_save_about_half_too(model, sampler):
    exact, half = ours(1), paced(EveryNthStep(2))
    for control in (exact, half):
        sample(model, [Unit(control, hint())], Run(steps=STEPS, sampler=sampler))
    counts = [control.runner.loaded.cache.counts.forwards for control in (exact, half)]
    assert counts[1] == pytest.approx(counts[0] / 2, abs=1)


def test_kept_residuals_are_between_control_and_none(model):
    run = Run(steps=STEPS)
    exact, half, plain = (
        sample(model, units, run) for units in ([Unit(ours(1), hint())], [Unit(paced(EveryNthStep(2)), hint())], [])
    )
    assert 0 < torch.linalg.norm(half - exact) < 0.5 * torch.linalg.norm(plain - exact)


def test_the_strength_of_each_step_acts_on_kept_residuals(model):
    """A schedule that is zero wherever the network would rest: then nothing of it is kept at all."""
    steps = ", ".join(f"{i / STEPS}: {1 if i % 2 == 0 else 0} hold" for i in range(STEPS))
    schedule = Schedule.parse(steps, "steps")
    run = Run(steps=STEPS)
    kept = sample(model, [Unit(paced(EveryNthStep(2)), hint(), schedule=schedule)], run)
    assert torch.equal(kept, sample(model, [Unit(ours(1), hint(), schedule=schedule)], run))


def test_sides_that_are_sampled_apart_are_kept_apart(model, monkeypatch):
    """On a machine with too little memory the host takes positive and negative one after the other."""
    run = Run(steps=STEPS)
    together = sample(model, [Unit(paced(EveryNthStep(2)), hint())], run)
    monkeypatch.setattr(model.model, "memory_required", lambda shape, **_: 1e30 if shape[0] > 1 else 0)
    control = paced(EveryNthStep(2))
    apart = sample(model, [Unit(control, hint())], run)
    assert control.runner.loaded.cache.counts.forwards == STEPS
    assert relative_error(apart, together) <= 1e-4


def test_cond_only_and_a_batch_keep_the_right_rows(model):
    control = paced(EveryNthStep(2))
    control = control.with_settings(factors=StrengthFactors(cfg_weights=CfgWeights(1, 0)))
    run = Run(steps=STEPS, batch=3)
    both = sample(model, [Unit(control, hint(3))], run)
    assert control.runner.loaded.cache.counts.rows == 3 * STEPS // 2
    again = sample(model, [Unit(control, hint(3))], run)
    assert torch.equal(both, again)


def test_adaptive_rests_only_where_little_changes(model):
    forwards = {}
    for tolerance in (0.01, 0.5, 1.0):
        control = paced(Adaptive(tolerance))
        sample(model, [Unit(control, hint())], Run(steps=20))
        forwards[tolerance] = control.runner.loaded.cache.counts.forwards
    assert forwards[0.01] == 20
    assert forwards[0.01] >= forwards[0.5] >= forwards[1.0]
    assert forwards[1.0] < 20


def test_an_adaptive_chain_reads_the_device_once_a_step(model, monkeypatch):
    reads = []
    _, outermost = controlled(*(Unit(paced(Adaptive(0.5)), hint(seed=seed)) for seed in (1, 2)))
    outermost.pre_run(model.model, model.model.model_sampling.percent_to_sigma)
    sigmas = torch.linspace(8, 0, 9)
    options = {"cond_or_uncond": [0, 1], "sample_sigmas": sigmas}
    cond = {"c_crossattn": torch.randn(2, 77, 768)}
    x = torch.randn(1, 4, 8, 8).repeat(2, 1, 1, 1)
    list(outermost.get_control(x, torch.full((2,), 8.0), cond, 2, options)["middle"])
    for name in ("tolist", "item", "__bool__", "__float__", "cpu", "numpy"):
        read = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor, name, lambda self, *a, read=read, name=name: (reads.append(name), read(self, *a))[1]
        )
    for sigma in (7.0, 6.0, 5.0):
        reads.clear()
        given = outermost.get_control(x, torch.full((2,), sigma), cond, 2, options)
        assert given["middle"][0].shape[0] == 2
        assert reads == ["tolist"]
    assert outermost.record.runs >= 2, "what was measured is read, too"


def test_residuals_are_dropped_after_sampling(model):
    prompt, control = controlled(Unit(paced(EveryNthStep(3)), hint()))
    held = []
    sample(model, [], Run(), prompt, callback=lambda *_: held.append(len(control.runs)))
    assert held == [1] * 4
    assert len(control.runs) == 0


def test_a_cancelled_run_drops_all_at_once_and_the_next_is_right(model):
    expected = sample(model, [Unit(paced(EveryNthStep(3)), hint())], Run())
    prompt, control = controlled(Unit(ours(2), hint(seed=3)), Unit(paced(EveryNthStep(3)), hint()))
    with pytest.raises(Cancelled):
        sample(model, [], Run(), prompt, callback=cancel_at(1))
    for link in (control, control.previous_controlnet):
        assert len(link.runs) == len(link.hints.prepared) == 0
        assert len(link.hints.prepared) == len(link.runner.loaded.cache.contexts) == 0
    assert not any(model.callbacks.values()), "what was added to the model is taken off again"
    alone, _ = controlled(Unit(control, hint()))
    assert torch.equal(sample(model, [], Run(), alone), expected)


def test_the_forecast_is_what_runs(model):
    prompt, control = controlled(Unit(paced(EveryNthStep(3)), hint(), start=0.2, end=0.9))
    (forecast,) = forecast_steps(prompt[0], timeline_of(model, SamplerSettings(STEPS, "euler", "normal")))
    sample(model, [], Run(steps=STEPS), prompt)
    assert [moment.ran for moment in control.record.moments] == [
        ran for ran, strength in zip(forecast.ran, forecast.strengths, strict=True) if strength
    ]
    assert (forecast.runs, control.record.runs) == (2, 2)
    assert control.record.saved == sum(s != 0 for s in forecast.strengths) - 2


def test_a_record_is_of_what_was_added(model):
    """Sizes from the hooks of the zero convolutions, times the strength."""
    recorded = with_record(ours(1))
    prompt, control = controlled(Unit(recorded, hint(), 0.5))
    seen = []
    network = control.runner.loaded.network
    for convolution in (*network.zero_convs, network.middle_block_out):
        convolution.register_forward_hook(lambda _, __, out: seen.append(float(out.double().square().mean().sqrt())))
    sample(model, [], Run(steps=3), prompt)
    measured = [size for _, _, sizes in control.record.sizes() for size in sizes]
    assert measured == pytest.approx([size * 0.5 for size in seen], rel=1e-4)
    assert [ran for _, ran, _ in control.record.sizes()] == [True] * 3


def test_measuring_changes_no_bit_of_a_chain(model):
    latents = []
    for measured in (False, True):
        units = [Unit(ours(s).with_settings(measured=measured), hint(seed=s), 0.7) for s in (1, 2)]
        latents.append(sample(model, units, Run(steps=2)))
    assert torch.equal(*latents)


def test_reports_are_of_the_last_sampling_and_of_our_controls(model):
    unit = Unit(with_run_interval(with_record(ours(1)), EveryNthStep(2)), hint())
    prompt, _ = controlled(Unit(core(2), hint(), 0.5), unit)
    (before,) = records_of(prompt[0])
    assert before.summary == "2. ControlNet: has not acted in a sampling yet"
    for steps in (6, 4):
        sample(model, [], Run(steps=steps), prompt)
    (after,) = records_of(prompt[0])
    assert after.summary == "2. ControlNet: ran 2 times, 2 runs saved"
    assert len(after.record.sizes()) == 4
    assert str(after).splitlines()[-1].startswith("middle: ")
    assert len(str(after).splitlines()) == 2 + 13


def test_memory_for_the_kept_residuals_is_asked_for():
    plain = ours(1).set_cond_hint(torch.zeros(1, 3, 64, 64))
    twin = with_run_interval(plain, EveryNthStep(2)).set_cond_hint(torch.zeros(1, 3, 64, 64))
    assert twin.inference_memory_requirements(torch.float32) > plain.inference_memory_requirements(torch.float32)


def test_settings_survive_copies():
    twin = with_record(paced(Adaptive(0.4))).copy()
    assert (twin.settings.run_interval, twin.settings.measured) == (Adaptive(0.4), True)
