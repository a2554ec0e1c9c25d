"""Previews of a sampling before it runs: the steps of each control, the hints as they will be seen."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import comfy.samplers
import comfy.utils
import torch
from torch import Tensor

from ..controlnet.caching.run_interval import plan_runs
from ..controlnet.hint.fit import fit_hint
from ..controlnet.hint.order import NO_HINT
from ..controlnet.report.plan_plot import Forecast
from ..controlnet.report.record_plot import ControlRecord
from ..controlnet.strength.factors import StrengthFactors
from ..controlnet.strength.timeline import SamplingTimeline
from .conditioning import Conditioning
from .controls.control import Control
from .controls.control_hint import hints_of_latent


@dataclass(frozen=True)
class SamplerSettings:
    """The settings of ComfyUI's KSampler and KSampler (Advanced).

    end: the last step that runs is the one before; values past the end count as the end.
    """

    steps: int
    sampler: str
    scheduler: str
    denoise: float = 1.0
    start: int = 0
    end: int = 10000


def sampler_names() -> list[str]:
    """The host's samplers, other packs' among them."""
    return [str(name) for name in comfy.samplers.KSampler.SAMPLERS]


def scheduler_names() -> list[str]:
    """The host's schedulers, other packs' among them."""
    return [str(name) for name in comfy.samplers.KSampler.SCHEDULERS]


def timeline_of(model: Any, run: SamplerSettings) -> SamplingTimeline:
    """The noise levels that the run goes through, cut as ComfyUI's KSampler cuts them.

    Raises ValueError when no step is left to run.
    """
    sampler = comfy.samplers.KSampler(model, run.steps, torch.device("cpu"), run.sampler, run.scheduler, run.denoise)
    sigmas = sampler.sigmas[: run.end + 1][run.start :]
    if len(sigmas) < 2:
        raise ValueError(
            f"Nothing would run: {run.steps} steps, denoise {run.denoise:g}, from step {run.start} to {run.end}. "
            "Lower start_at_step, or raise end_at_step or denoise."
        )
    sampling = model.get_model_object("model_sampling")
    return SamplingTimeline(tuple(sigmas.tolist()), sampling.percent_to_sigma)


def controls_of(conditioning: Conditioning) -> list[Any]:
    """All controls that are attached, each once, the first of a chain first."""
    found: dict[int, Any] = {}
    for _, settings in conditioning:
        for control in reversed(list(_chain(settings.get("control")))):
            found.setdefault(id(control), control)
    return list(found.values())


def forecast_steps(
    conditioning: Conditioning, timeline: SamplingTimeline, pictures: int | None = None
) -> list[Forecast]:
    """When and how strongly each control of a conditioning will run. Other packs' controls count as core's do.

    pictures: how many the batch has, if known. Raises ValueError when strengths are given to items it has not.
    """
    forecasts = []
    for name, control in named_controls(conditioning):
        factors = control.settings.factors if isinstance(control, Control) else StrengthFactors()
        plan = factors.plan(timeline, *control.timestep_percent_range)
        strengths = tuple(control.strength * factor for factor in plan)
        forecasts.append(_forecast(name, strengths, control, pictures))
    return forecasts


def _forecast(name: str, strengths: tuple[float, ...], control: Any, pictures: int | None) -> Forecast:
    acts = [strength != 0 for strength in strengths]
    if not isinstance(control, Control):
        return Forecast(name, strengths, plan_runs(None, acts))
    factors, run_interval, notes = control.settings.factors, control.settings.run_interval, []
    cfg_weights, items = factors.cfg_weights, factors.items
    if cfg_weights is not None:
        notes.append(f"positive x {cfg_weights.cond:g}, negative x {cfg_weights.uncond:g}")
    if items is not None:
        notes.append(f"items {items}" + (", evenly between" if items.interpolated else ""))
    if run_interval is not None:
        notes.append(f"runs {run_interval}")
    weights = (1.0, 1.0) if cfg_weights is None else (cfg_weights.cond, cfg_weights.uncond)
    of_items = items.factors(pictures) if items is not None and pictures else ()
    adaptive = run_interval is not None and run_interval.measures
    return Forecast(name, strengths, plan_runs(run_interval, acts), adaptive, weights, of_items, tuple(notes))


def named_controls(conditioning: Conditioning) -> list[tuple[str, Any]]:
    """All controls that are attached, with a number and the name of their file."""
    controls = enumerate(controls_of(conditioning), start=1)
    return [(f"{number}. {getattr(control, 'name', type(control).__name__)}", control) for number, control in controls]


def records_of(conditioning: Conditioning) -> list[ControlRecord]:
    """The record of each control of ours in the last sampling that it took part in."""
    controls = [(name, c) for name, c in named_controls(conditioning) if isinstance(c, Control)]
    return [
        ControlRecord(name, control.record, control.runner.abilities.output_count or 0) for name, control in controls
    ]


def hints_as_seen(conditioning: Conditioning, latent: Tensor) -> list[Tensor]:
    """The hints of every control at the size at which its network sees them, BHWC in 0..1, one for each picture.

    Raises ValueError when nothing is attached, or a number of hints does not fit the number of pictures.
    """
    controls = [control for control in controls_of(conditioning) if control.cond_hint_original is not None]
    if not controls:
        raise ValueError("No ControlNet is attached to this conditioning. Wire the output of ControlNet Apply.")
    return [_seen(control, hint, latent) for control in controls for hint in _hints(control)]


def _hints(control: Any) -> list[Tensor]:
    """The hint that Apply gave, and those that a union network takes beside it."""
    if not isinstance(control, Control):
        return [control.cond_hint_original]
    return [control.hint, *(item.hint for item in control.settings.union_hints)]


def _seen(control: Any, hint: Tensor, latent: Tensor) -> Tensor:
    height, width = (side * control.compression_ratio for side in latent.shape[-2:])
    if not isinstance(control, Control):
        seen = comfy.utils.common_upscale(hint, width, height, control.upscale_algorithm, "center")
    else:
        fitted = fit_hint(hint, (height, width), control.settings.fit)
        order = hints_of_latent(control, hint.shape[0], latent)
        seen = fitted[list(order)]
        seen[[index == NO_HINT for index in order]] = 0
    return seen.movedim(1, -1).float().clamp(0, 1)


def _chain(control: Any) -> Iterator[Any]:
    while control is not None:
        yield control
        control = control.previous_controlnet
