"""What the demonstration's training stages share: state on disk, the learning rate's course, averaged weights."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

SAVE_SECONDS = 120.0
AVERAGE_EVERY = 8
"""Steps between two updates of the averaged weights, which cost as much as a small step."""


def save_state(state: object, path: Path) -> None:
    """Write `state` so that a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(path.suffix + ".part")
    torch.save(state, partial)
    os.replace(partial, path)


def learning_rate(step: int, total: int, peak: float, warmup: int = 100) -> float:
    """Linear warm-up to `peak`, then half a cosine down to a fiftieth of it at `total` steps."""
    if step < warmup:
        return peak * (step + 1) / warmup
    share = min(1.0, (step - warmup) / max(1, total - warmup))
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))


@dataclass
class Fit:
    """A resumable training: modules by name, one AdamW, averaged (EMA) weights, a step count and a random seed.

    `loss` receives the step number and gives the loss to minimise and values to report. The batch of a step must
    depend on the step number only, so that a resumed run sees what an uninterrupted one would.
    """

    modules: dict[str, torch.nn.Module]
    path: Path
    total: int
    peak: float
    loss: Callable[[int], tuple[torch.Tensor, dict[str, float]]]
    average: float = 0.999
    weight_decay: float = 0.01
    warmup: int = 100
    report_every: int = 50
    step: int = 0
    averaged: dict[str, dict[str, torch.Tensor]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.optimiser = torch.optim.AdamW(
            list(self._parameters()), lr=self.peak, betas=(0.9, 0.99), weight_decay=self.weight_decay, fused=True
        )
        if self.path.exists():
            self.restore(torch.load(self.path, weights_only=True))
        else:
            self.averaged = {
                name: {key: value.clone() for key, value in module.state_dict().items()}
                for name, module in self.modules.items()
            }

    def _parameters(self) -> Iterator[torch.nn.Parameter]:
        for module in self.modules.values():
            yield from module.parameters()

    def state(self) -> dict[str, Any]:
        return {
            "modules": {name: module.state_dict() for name, module in self.modules.items()},
            "averaged": self.averaged,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
        }

    def restore(self, state: dict[str, Any]) -> None:
        for name, module in self.modules.items():
            module.load_state_dict(state["modules"][name])
        self.averaged, self.step = state["averaged"], state["step"]
        self.optimiser.load_state_dict(state["optimiser"])

    def save(self) -> None:
        """Write everything that a later `Fit` with the same path goes on from."""
        save_state(self.state(), self.path)

    def run(self) -> None:
        """Train to `total` steps; saves every two minutes, at the end, and when interrupted."""
        started, saved, first, reported = time.monotonic(), time.monotonic(), self.step, []
        try:
            while self.step < self.total:
                reported.append(self.advance())
                if self.step % self.report_every == 0 or self.step == self.total:
                    rate = (self.step - first) / (time.monotonic() - started)
                    print(f"{self.path.stem} step {self.step} {_mean(reported)} ({rate:.2f} steps/s)", flush=True)
                    reported = []
                if time.monotonic() - saved > SAVE_SECONDS:
                    self.save()
                    saved = time.monotonic()
        finally:
            self.save()

    def advance(self) -> dict[str, float]:
        """One step: its loss and reported values. Raises FloatingPointError, changing nothing, if it is no number."""
        torch.manual_seed(self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.step, self.total, self.peak, self.warmup)
        loss, values = self.loss(self.step)
        if not torch.isfinite(loss):
            message = f"The loss became {loss.item()} at step {self.step}; the last saved state is good."
            raise FloatingPointError(message)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(self._parameters()), 1.0)
        self.optimiser.step()
        self.step += 1
        if self.step % AVERAGE_EVERY == 0:
            self._average()
        return {"loss": loss.item(), **values}

    @torch.no_grad()
    def _average(self) -> None:
        share = 1 - min(self.average, (1 + self.step) / (10 + self.step)) ** AVERAGE_EVERY
        for name, module in self.modules.items():
            kept = self.averaged[name]
            torch._foreach_lerp_([kept[key] for key in kept], list(module.state_dict().values()), share)


def _mean(reported: Iterable[dict[str, float]]) -> str:
    rows = list(reported)
    return " ".join(f"{name} {sum(row[name] for row in rows) / len(rows):.4f}" for name in rows[0])
