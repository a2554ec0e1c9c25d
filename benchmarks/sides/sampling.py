"""Samplings that go step by step beside each other, so that two sides see the same machine within a few seconds.

ComfyUI prepares a sampling, hands it to a sampler and clears up when that returns. Here the sampler of one side
begins the sampling of the next: inside the innermost all are prepared, and take their steps in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any, Protocol

import comfy.samplers
import torch
from torch import Tensor, nn

from ..models.random_models import Conditioning

CFG, SEED = 6.0, 3

Denoise = Callable[[Tensor, Tensor], Tensor]
"""(latents, sigma of shape (1,)) -> denoised latents under guidance."""


@dataclass(frozen=True)
class Plan:
    """One sampling. noise: (batch, 4, h, w). sigmas: (steps + 1,), falling, the last is 0."""

    noise: Tensor
    sigmas: Tensor

    @property
    def steps(self) -> int:
        return len(self.sigmas) - 1


class Prepared(Protocol):
    """One side, with its networks built."""

    def open(self, plan: Plan, use: Callable[[Denoise], None]) -> None:
        """Prepare a sampling, call `use`, clear up."""
        ...

    def networks(self) -> Sequence[nn.Module]:
        """The ControlNets; while a sampling is open."""
        ...


class Observer(Protocol):
    """Who measures."""

    def opening(self, side: str) -> AbstractContextManager[None]: ...

    def stepping(self, side: str, steps: range) -> AbstractContextManager[None]: ...


@dataclass(frozen=True)
class HostSide:
    """A sampling in ComfyUI's own code. model: a MODEL."""

    model: Any
    positive: Conditioning
    negative: Conditioning

    def open(self, plan: Plan, use: Callable[[Denoise], None]) -> None:
        guider = comfy.samplers.CFGGuider(self.model)
        guider.set_conds(self.positive, self.negative)
        guider.set_cfg(CFG)
        latent = torch.zeros_like(plan.noise)
        guider.sample(plan.noise, latent, _Handover(use), plan.sigmas, disable_pbar=True, seed=SEED)

    def networks(self) -> Sequence[nn.Module]:
        found, control = [], self.positive[0][1].get("control")
        while control is not None:
            found.append(control.runner.loaded.network if hasattr(control, "runner") else control.control_model)
            control = control.previous_controlnet
        return found


class _Handover:
    """In the place of a sampler: gives the guided model away."""

    def __init__(self, use: Callable[[Denoise], None]) -> None:
        self._use = use

    def sample(
        self, guider: Any, sigmas: Tensor, extra_args: dict[str, Any], callback: Any, noise: Tensor, *_: Any
    ) -> Tensor:
        self._use(lambda x, sigma: guider(x, sigma.expand(x.shape[0]), **extra_args))
        return noise


@dataclass
class Track:
    """How far one side is."""

    denoise: Denoise
    x: Tensor
    first: Tensor | None = field(default=None)
    """The result of the first step."""

    def step(self, sigma: Tensor, following: Tensor) -> None:
        """Euler's method: along the line from the denoised picture."""
        denoised = self.denoise(self.x, sigma[None])
        self.first = denoised if self.first is None else self.first
        self.x = self.x + (self.x - denoised) / sigma * (following - sigma)


def sample_in_turn(
    sides: Mapping[str, Prepared], plan: Plan, observer: Observer, turn: int, device: torch.device
) -> dict[str, Track]:
    """Sample on all sides; each takes `turn` steps, then the next side does."""
    tracks: dict[str, Track] = {}
    sigmas, start = plan.sigmas.to(device), (plan.noise * plan.sigmas[0]).to(device)

    def open_next(names: Sequence[str]) -> None:
        if not names:
            _take_turns(tracks, sigmas, observer, turn)
            return
        stack = ExitStack()
        stack.enter_context(observer.opening(names[0]))

        def opened(denoise: Denoise) -> None:
            stack.close()
            tracks[names[0]] = Track(denoise, start)
            open_next(names[1:])

        with stack:
            sides[names[0]].open(plan, opened)

    with torch.inference_mode():
        open_next(list(sides))
    return tracks


def _take_turns(tracks: Mapping[str, Track], sigmas: Tensor, observer: Observer, turn: int) -> None:
    steps = range(len(sigmas) - 1)
    for begin in steps[::turn]:
        for name, track in tracks.items():
            part = steps[begin : begin + turn]
            with observer.stepping(name, part):
                for step in part:
                    track.step(sigmas[step], sigmas[step + 1])
