"""The step preview tells what sampling then does; the hint preview shows what the network then sees."""

import pytest
import torch
from support.comfy_host import small_model
from support.sampling import core, hint, ours, prompts
from zeroconv.controlnet.caching.run_interval import Adaptive, EveryNthStep
from zeroconv.controlnet.hint.fit import Fit, fit_hint
from zeroconv.controlnet.report.plan_plot import BAR, ITEM, NEGATIVE, UNCOND, Forecast, draw_plan
from zeroconv.controlnet.strength.cfg_weights import CfgWeights
from zeroconv.controlnet.strength.factors import StrengthFactors
from zeroconv.controlnet.strength.per_item import ItemStrengths
from zeroconv.controlnet.strength.schedule import Schedule
from zeroconv.host.conditioning import Unit, apply_unit
from zeroconv.host.preview import SamplerSettings, forecast_steps, hints_as_seen, timeline_of
from zeroconv.host.settings import with_factors, with_fit, with_program, with_run_interval


@pytest.fixture(scope="module")
def model():
    return small_model(64)


def controlled(units):
    positive, negative = prompts()
    for unit in units:
        positive, negative = apply_unit(unit, positive, negative)
    return positive, negative


def sample(model, positive, negative, run):
    """ComfyUI's KSampler (Advanced); each step's first evaluation with our control active is counted."""
    import comfy.sample

    latent = torch.zeros(1, 4, 8, 8)
    noise = torch.randn(latent.shape, generator=torch.Generator().manual_seed(3))
    settings = {"denoise": run.denoise, "start_step": run.start, "last_step": run.end}
    with torch.inference_mode():
        return comfy.sample.sample(
            model,
            noise,
            run.steps,
            6.0,
            run.sampler,
            run.scheduler,
            positive,
            negative,
            latent,
            disable_pbar=True,
            **settings,
        )


RUNS = [
    SamplerSettings(8, "euler", "normal"),
    SamplerSettings(8, "euler_ancestral", "karras"),
    SamplerSettings(8, "dpmpp_2m", "exponential"),
    SamplerSettings(8, "uni_pc", "simple"),
    SamplerSettings(8, "euler", "normal", denoise=0.5),
    SamplerSettings(8, "euler", "normal", start=3),
    SamplerSettings(8, "euler", "normal", end=5),
    SamplerSettings(8, "euler_ancestral", "beta", start=2, end=6),
]


@pytest.mark.parametrize("run", RUNS, ids=str)
@pytest.mark.parametrize("counting", ["timesteps", "steps", "steps (A1111)"])
def test_the_forecast_is_what_runs(model, run, counting):
    control = with_factors(ours(1), "test", lambda _: StrengthFactors(counting))
    positive, negative = controlled([Unit(control, hint(), start=0.2, end=0.7)])
    (forecast,) = forecast_steps(positive, timeline_of(model, run))
    assert 0 < forecast.runs < len(forecast.strengths)
    sample(model, positive, negative, run)
    assert control.runner.loaded.cache.counts.forwards == forecast.runs


def test_every_control_of_a_chain_has_its_row(model):
    schedule = Schedule.parse("0: 1, 1: 0", "steps")
    positive, _ = controlled(
        [Unit(ours(1), hint(), 0.5, schedule=schedule), Unit(core(2), hint(), 2.0, end=0.5), Unit(ours(3), hint())]
    )
    first, second, third = forecast_steps(positive, timeline_of(model, SamplerSettings(10, "euler", "normal")))
    assert first.strengths == pytest.approx([0.5 * (1 - i / 10) for i in range(10)])
    assert second.strengths == (2.0,) * 5 + (0.0,) * 5
    assert third.strengths == (1.0,) * 10
    assert [row.name.split(".")[0] for row in (first, second, third)] == ["1", "2", "3"]


def test_a_run_without_steps_is_refused(model):
    with pytest.raises(ValueError, match="Nothing would run: 8 steps"):
        timeline_of(model, SamplerSettings(8, "euler", "normal", denoise=0.0))
    with pytest.raises(ValueError, match="from step 8"):
        timeline_of(model, SamplerSettings(8, "euler", "normal", start=8))


def test_the_preview_is_what_the_network_sees(model):
    seen = []
    control = with_fit(ours(1), Fit("fit inside", "edges"), "one each")
    encoder = control.runner.loaded.network.input_hint_block
    handle = encoder.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    positive, negative = controlled([Unit(control, hint())])
    (shown,) = hints_as_seen(positive, torch.zeros(1, 4, 8, 8))
    sample(model, positive, negative, SamplerSettings(1, "euler", "normal"))
    handle.remove()
    assert len(seen) == 1
    assert torch.equal(seen[0], shown.movedim(-1, 1))


def test_the_preview_gives_every_picture_its_hint():
    positive, _ = controlled([Unit(with_fit(ours(1), Fit(), "hold last"), hint(2))])
    (shown,) = hints_as_seen(positive, torch.zeros(3, 4, 8, 8))
    assert shown.shape == (3, 64, 64, 3)
    assert torch.equal(shown[1], shown[2])
    assert not torch.equal(shown[0], shown[1])


def test_hints_of_core_controls_are_cropped_as_core_does():
    positive, _ = controlled([Unit(core(1), hint())])
    (shown,) = hints_as_seen(positive, torch.zeros(1, 4, 8, 8))
    assert torch.equal(shown.movedim(-1, 1), fit_hint(hint().movedim(-1, 1), (64, 64), Fit()))


def test_a_prompt_without_control_has_no_hint():
    with pytest.raises(ValueError, match="No ControlNet"):
        hints_as_seen(prompts()[0], torch.zeros(1, 4, 8, 8))


def test_only_our_controls_can_be_shaped():
    with pytest.raises(ValueError, match=r"not loaded by ZeroConv.*ControlNet Load"):
        with_fit(core(1), Fit(), "repeat")


def test_settings_go_to_a_copy():
    control = ours(1)
    shaped = with_program(control, "A1111", "control")
    assert (shaped.settings.factors.counting, shaped.settings.fit.resampling) == ("steps (A1111)", "edges")
    assert (control.settings.factors.counting, control.settings.fit) == ("timesteps", Fit())
    assert shaped.runner is control.runner


@pytest.mark.parametrize(("program", "uncond"), [("ComfyUI", None), ("A1111", 0), ("diffusers", 0)])
def test_pooled_networks_act_on_the_side_that_the_program_chose(program, uncond):
    control = ours(1)
    control.global_average_pooling = True
    sides = with_program(control, program, "balanced").settings.factors.cfg_weights
    assert (sides.uncond if sides else None) == uncond


def test_bars_are_as_high_as_the_strengths():
    strengths = (1.0, 0.5, 0.0, -0.25)
    picture = draw_plan([Forecast("one", strengths, (True, True, False, True))], 400)
    heights = [bar(picture, 59 + 94 * i, BAR if s >= 0 else NEGATIVE) for i, s in enumerate(strengths)]
    assert heights == pytest.approx([h * heights[0] for h in (1, 0.5, 0, 0.25)], abs=1)
    assert heights[0] >= 70


def bar(picture, x, color):
    """Pixels of this color in a column of a plan."""
    pixels = (picture[0] * 255).round().to(torch.uint8)
    return int((pixels[:, x] == torch.tensor(color, dtype=torch.uint8)).all(dim=-1).sum())


def test_steps_that_use_kept_residuals_are_dim():
    picture = draw_plan([Forecast("one", (1.0,) * 4, (True, False, True, False))], 400)
    assert [bar(picture, 59 + 94 * i, BAR) > 0 for i in range(4)] == [True, False, True, False]


def test_sides_and_items_are_drawn_beside_each_other():
    shaped = Forecast("one", (1.0, 1.0), (True, True), cfg_weights=(0.5, 1.0), items=(1.0, 0.25))
    picture = draw_plan([shaped], 412)
    cond, uncond = bar(picture, 40, BAR), bar(picture, 120, UNCOND)
    assert cond == pytest.approx(uncond / 2, abs=1)
    first, second = (bar(picture, x, ITEM) for x in (320, 370))
    assert second == pytest.approx(first / 4, abs=1)
    assert uncond == first >= 70


def test_sides_items_and_pace_are_told(model):
    def shape(factors):
        return StrengthFactors(cfg_weights=CfgWeights(1, 0.5), items=ItemStrengths.parse("0: 1, -1: 0"))

    control = with_run_interval(with_factors(ours(1), "test", shape), EveryNthStep(2))
    positive, _ = controlled([Unit(control, hint(), 0.8)])
    progress = timeline_of(model, SamplerSettings(4, "euler", "normal"))
    (forecast,) = forecast_steps(positive, progress, pictures=3)
    assert (forecast.cfg_weights, forecast.items, forecast.runs) == ((1, 0.5), (1, 1, 0), 2)
    assert str(forecast) == (
        "1. ControlNet: runs 2 of 4 steps: 0.8 (0.8) 0.8 (0.8); positive x 1, negative x 0.5; items 0: 1, -1: 0; "
        "runs every 2 steps"
    )
    (unknown,) = forecast_steps(positive, progress)
    assert unknown.items == ()
    bad = with_factors(control, "test", lambda _: StrengthFactors(items=ItemStrengths.parse("5: 0")))
    positive, _ = controlled([Unit(bad, hint())])
    with pytest.raises(ValueError, match="the batch has 2 items"):
        forecast_steps(positive, progress, pictures=2)


def test_an_adaptive_pace_promises_no_more_than_it_can(model):
    positive, _ = controlled([Unit(with_run_interval(ours(1), Adaptive(0.3)), hint(), end=0.5)])
    (forecast,) = forecast_steps(positive, timeline_of(model, SamplerSettings(10, "euler", "normal")))
    assert forecast.summary == "1. ControlNet: runs at most 5 of 10 steps"
