"""Where the steps of a sampler lie, told to the schedule curve in the browser before anything runs."""

import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import comfy.model_sampling
from aiohttp import web

from ..controlnet.strength.timeline import COUNTINGS
from .preview import Run, sampler_names, scheduler_names, timeline_of

ROUTE = "/zeroconv/steps"
MOST_STEPS = 1000


class _StableDiffusion:
    """Stands in for a model of the families that ControlNets are made for: all have the same noise levels."""

    class _Sampling(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.EPS):
        pass

    def get_model_object(self, name: str) -> Any:
        return _sampling()


@lru_cache(maxsize=1)
def _sampling() -> Any:
    return _StableDiffusion._Sampling()


def step_positions(settings: Mapping[str, str]) -> dict[str, list[float]]:
    """The position at which each step begins, for every counting.

    settings: the widgets of a KSampler or KSampler (Advanced) by name; what is absent has its default.
    Raises ValueError when a number is none or out of range, a name is unknown, or no step would run.
    """
    run = Run(
        steps=int(settings.get("steps", 20)),
        sampler=settings.get("sampler_name", "euler"),
        scheduler=settings.get("scheduler", "normal"),
        denoise=float(settings.get("denoise", 1.0)),
        start=int(settings.get("start_at_step", 0)),
        end=int(settings.get("end_at_step", 10000)),
    )
    if not (1 <= run.steps <= MOST_STEPS and 0 < run.denoise <= 1 and run.start >= 0 and run.end >= 0):
        raise ValueError(f"No sampler has {run.steps} steps, denoise {run.denoise:g}, {run.start} to {run.end}.")
    if run.scheduler not in scheduler_names() or run.sampler not in sampler_names():
        raise ValueError(f"No sampler '{run.sampler}' with scheduler '{run.scheduler}' is known.")
    timeline = timeline_of(_StableDiffusion(), run)
    return {counting: [timeline.position(s, counting) for s in timeline.sigmas[:-1]] for counting in COUNTINGS}


async def _answer(request: web.Request) -> web.Response:
    try:
        return web.json_response(step_positions(request.query))
    except ValueError as error:
        return web.json_response({"error": str(error)}, status=400)


def serve_step_positions() -> None:
    """Add the route to the running server; without one (a test, the command line) there is nobody to tell."""
    module = sys.modules.get("server")
    server = getattr(module.PromptServer, "instance", None) if module else None
    if server is not None:
        server.routes.get(ROUTE)(_answer)
