"""The route that gives the positions of a sampler's steps to the schedule curve, before anything runs."""

import asyncio
import functools
import math
import sys
from collections.abc import Mapping
from typing import Any

import comfy.model_sampling
import torch
from aiohttp import web
from torch import Tensor

from ..controlnet.strength.timeline import COUNTINGS
from .preview import SamplerSettings, sampler_names, scheduler_names, timeline_of

ROUTE = "/zeroconv/steps"
MOST_STEPS = 1000
MOST_LEVELS = 100_000
"""Noise levels that a scheduler works out for such a run: steps / denoise."""
LAST_STEP = 10_000
"""Upper limit of KSampler (Advanced)'s step widgets."""
MOST_WAITING = 8
"""Questions that wait for the one that is being answered; a page asks one for each curve on its canvas."""


class _Sampling(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.EPS):
    """The host's, with a short way for single timesteps: schedulers ask for tens of thousands."""

    @functools.cached_property
    def _levels(self) -> list[float]:
        return self.log_sigmas.tolist()

    @functools.cached_property
    def _last(self) -> int:
        return len(self._levels) - 1

    def sigma(self, timestep: Tensor) -> Tensor:
        if timestep.dim():
            return super().sigma(timestep)
        return torch.scalar_tensor(self._sigma(timestep.item()))

    def percent_to_sigma(self, percent: float) -> float:
        if not 0 < percent < 1:
            return super().percent_to_sigma(percent)
        return self._sigma((1 - percent) * self._last)

    def _sigma(self, timestep: float) -> float:
        levels = self._levels
        if not 0 <= timestep < self._last:
            return math.exp(levels[0 if timestep < 0 else -1])
        low = int(timestep)
        return math.exp(levels[low] + (timestep - low) * (levels[low + 1] - levels[low]))


class _StableDiffusion:
    """Stands in for a model of the families that ControlNets are made for: all have the same noise levels."""

    def get_model_object(self, name: str) -> Any:
        return _sampling()


@functools.lru_cache(maxsize=1)
def _sampling() -> Any:
    return _Sampling()


def step_positions(settings: Mapping[str, str]) -> dict[str, list[float]]:
    """The position at which each step begins, for every counting.

    settings: the widgets of a KSampler or KSampler (Advanced) by name; what is absent has its default.
    Raises ValueError when a number is none or out of range, a name is unknown, no step would run, or too many levels.
    """
    run = SamplerSettings(
        steps=int(settings.get("steps", 20)),
        sampler=settings.get("sampler_name", "euler"),
        scheduler=settings.get("scheduler", "normal"),
        denoise=float(settings.get("denoise", 1.0)),
        start=int(settings.get("start_at_step", 0)),
        end=int(settings.get("end_at_step", 10000)),
    )
    steps_known = all(0 <= step <= LAST_STEP for step in (run.start, run.end))
    if not (1 <= run.steps <= MOST_STEPS and 0 < run.denoise <= 1 and steps_known):
        raise ValueError(f"No sampler has {run.steps} steps, denoise {run.denoise:g}, {run.start} to {run.end}.")
    if run.steps > run.denoise * MOST_LEVELS:
        raise ValueError(f"{run.steps} steps at denoise {run.denoise:g} are too many to show; raise denoise.")
    if run.scheduler not in scheduler_names() or run.sampler not in sampler_names():
        raise ValueError(f"No sampler '{run.sampler}' with scheduler '{run.scheduler}' is known.")
    timeline = timeline_of(_StableDiffusion(), run)
    return {counting: [timeline.position(s, counting) for s in timeline.sigmas[:-1]] for counting in COUNTINGS}


class StepAnswers:
    """Answers the route: one question at a time, in a thread, so that the server goes on answering others."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(1)
        self._waiting = 0

    async def __call__(self, request: web.Request) -> web.Response:
        refused = refusal(request)
        if refused is not None:
            return refused
        if self._waiting > MOST_WAITING:
            return web.json_response({"error": "Too many questions at once; ask again."}, status=503)
        self._waiting += 1
        try:
            async with self._turn:
                return web.json_response(await asyncio.to_thread(step_positions, dict(request.query)))
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        finally:
            self._waiting -= 1


def running_routes() -> web.RouteTableDef | None:
    """The routes of the running server; None without one (a test, the command line): there is nobody to tell."""
    module = sys.modules.get("server")
    server = getattr(module.PromptServer, "instance", None) if module else None
    return None if server is None else server.routes


def refusal(request: web.Request) -> web.Response | None:
    """The answer to a page of another site, which may ask nothing; None for ComfyUI's own and for programs."""
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        return web.json_response({"error": "Only ComfyUI's own pages may ask."}, status=403)
    return None


def serve_step_positions() -> None:
    """Add the route to the running server."""
    routes = running_routes()
    if routes is not None:
        routes.get(ROUTE)(StepAnswers())
