"""One workload on all sides: what it does, how far it is from ComfyUI's own result, and how long it takes."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest import mock

import comfy.model_management
import comfy.samplers
import torch
from torch import Tensor, nn

from ..models.random_models import Models, noise
from ..sides.in_comfyui import CORE, Side
from ..sides.sampling import Denoise, Plan, Prepared, Track, sample_in_turn
from ..workloads import Workload
from .counting import Tally
from .machine import Attention, attending_by, computing_in, device, free_bytes
from .timing import Stopwatch

Result = dict[str, Any]
SDXL_BYTES = 10 << 30
"""Memory for its UNet and a ControlNet in 16 bits, with what a step needs."""
LOW_MEMORY = 8 << 30


@dataclass(frozen=True)
class Settings:
    """rounds: of timing; none: count only. sides: in the order of the tables."""

    sides: tuple[Side, ...]
    rounds: int = 3
    report: Callable[[str], None] = lambda line: None


def measure(workload: Workload, models: Models, settings: Settings) -> Result:
    """Results by side: `left out`, or counts, error and seconds."""
    with computing_in(workload.precision), _limited(workload):
        sides, results = _prepare(workload, models, settings)
        plans = plans_of(workload, models)
        latents: dict[str, list[Track]] = {}
        for name, prepared in sides.items():
            latents[name], results[name] = _count(name, prepared, plans)
            settings.report(f"{workload.label}: {name} counted")
        for name in sides:
            results[name] |= _errors(latents, name)
        if settings.rounds and device().type == "cuda":
            _time(sides, plans)  # to warm up: clocks, and what libraries choose at the first call of a shape
        for number in range(settings.rounds):
            order = list(sides) if number % 2 else list(reversed(sides))
            watch = _time({name: sides[name] for name in order}, plans)
            for name in sides:
                results[name].setdefault("turns", []).append(watch.turns[name])
                results[name].setdefault("openings", []).append(watch.openings[name])
            settings.report(f"{workload.label}: round {number + 1} of {settings.rounds}")
    return results


def _prepare(workload: Workload, models: Models, settings: Settings) -> tuple[dict[str, Prepared], dict[str, Result]]:
    """Every side, with every attention function, that can be measured; and results that say why others cannot."""
    sides: dict[str, Prepared] = {}
    results: dict[str, Result] = {}
    attentions = workload.attentions if device().type == "cpu" else ("default",)
    short = _short_of_memory(workload)
    for attention in attentions:
        for side in settings.sides:
            if attention != attentions[0] and side.name not in ("plain", "core", "ours"):
                continue
            name = side.name if attention == attentions[0] else f"{side.name}, {attention} attention"
            reason = short or side.left_out(workload)
            if reason:
                results[name] = {"left out": reason}
            else:
                sides[name] = Attending(side.prepare(workload, models), attention)
    return sides, results


@dataclass(frozen=True)
class Attending:
    """A side whose base model attends in one way."""

    prepared: Prepared
    attention: Attention

    def open(self, plan: Plan, use: Callable[[Denoise], None]) -> None:
        def opened(denoise: Denoise) -> None:
            def attending(x: Tensor, sigma: Tensor) -> Tensor:
                with attending_by(self.attention):
                    return denoise(x, sigma)

            use(attending)

        self.prepared.open(plan, opened)

    def networks(self) -> Sequence[nn.Module]:
        return self.prepared.networks()


def _short_of_memory(workload: Workload) -> str | None:
    need = SDXL_BYTES if workload.family == "SDXL" and workload.scale.width == 320 else 0
    free = free_bytes() if device().type == "cpu" else torch.cuda.mem_get_info()[0]
    return f"{need >> 30} GB of memory are needed, {free >> 30} are free" if free < need else None


def _limited(workload: Workload) -> AbstractContextManager[Any]:
    """A GPU that seems to have 8 GB."""
    if not workload.low_memory or device().type != "cuda":
        return nullcontext()
    stack, total = ExitStack(), torch.cuda.mem_get_info()[1]
    if total > LOW_MEMORY:
        reserved = total - LOW_MEMORY
        stack.enter_context(mock.patch.object(comfy.model_management, "EXTRA_RESERVED_VRAM", reserved))
        torch.cuda.set_per_process_memory_fraction(LOW_MEMORY / total)
        stack.callback(torch.cuda.set_per_process_memory_fraction, 1.0)
    return stack


def plans_of(workload: Workload, models: Models) -> list[Plan]:
    """Its samplings."""
    sampling = models.base.get_model_object("model_sampling")
    sigmas = comfy.samplers.calculate_sigmas(sampling, "normal", workload.steps)
    return [Plan(noise(workload, factor), sigmas) for factor in workload.passes]


def _count(name: str, prepared: Prepared, plans: Sequence[Plan]) -> tuple[list[Track], Result]:
    """The tracks of every sampling, and the counts; memory begins empty, so that every side loads its models."""
    comfy.model_management.unload_all_models()
    gc.collect()
    where, tally = device(), Tally(prepared.networks)
    if where.type == "cuda":
        torch.cuda.reset_peak_memory_stats(where)
    tracks = [sample_in_turn({name: prepared}, plan, tally, 1, where)[name] for plan in plans]
    peak = torch.cuda.max_memory_allocated(where) if where.type == "cuda" else tally.alive.peak
    return tracks, {"step": dict(tally.steps[-1]), "total": dict(tally.total), "peak bytes": peak}


def _errors(latents: Mapping[str, list[Track]], name: str) -> Result:
    """Relative L2 distance to core's result: of the first step's prediction, and of the last sampling's end."""
    if CORE.name not in latents or name.startswith("plain"):
        return {}
    own, core = latents[name], latents[CORE.name]
    return {
        "prediction error": _distance(own[0].first, core[0].first),
        "latent error": _distance(own[-1].x, core[-1].x),
    }


def _distance(a: Tensor | None, b: Tensor | None) -> float:
    assert a is not None
    assert b is not None
    return float(torch.linalg.vector_norm(a - b) / torch.linalg.vector_norm(b))


def _time(sides: Mapping[str, Prepared], plans: Sequence[Plan]) -> Stopwatch:
    """One round. On a CPU the sides take single steps in turn; on a GPU whole samplings, else one would wait idle."""
    where = device()
    watch = Stopwatch(where)
    for plan in plans:
        sample_in_turn(sides, plan, watch, 1 if where.type == "cpu" else plan.steps, where)
    return watch
