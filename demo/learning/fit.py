"""Trains the parts that the demonstration makes from nothing: the autoencoder's decoder and the base model.

What is trained here is no ControlNet, so `training.loop` does not fit; its averaged weights, files and meter do.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...training.ema import Ema
from ...training.report.progress import Meter
from ...training.state import save_state

SAVE_SECONDS = 120.0
REPORT_STEPS = 50
AVERAGE_EVERY = 8
"""Steps between two updates of the averaged weights, which cost as much as a small step."""


def learning_rate(step: int, total: int, peak: float, warmup: int = 100) -> float:
    """Linear warm-up to `peak`, then half a cosine down to a fiftieth of it at `total` steps."""
    if step < warmup:
        return peak * (step + 1) / warmup
    share = min(1.0, (step - warmup) / max(1, total - warmup))
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))


def load_averaged(path: Path) -> dict[str, Tensor]:
    """The averaged weights of the training that was saved to `path`."""
    return torch.load(path, weights_only=True)["averaged"]


@dataclass
class Fit:
    """A resumable training of one module: AdamW, averaged (EMA) weights, a step count that is also the random seed.

    `loss` receives the step number and gives what to minimise. The batch of a step must depend on the step number
    only, so that a resumed run sees what an uninterrupted one would.
    """

    module: nn.Module
    path: Path
    total: int
    peak: float
    loss: Callable[[int], Tensor]
    decay: float = 0.999
    weight_decay: float = 0.01
    warmup: int = 100
    step: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._parameters = list(self.module.parameters())
        self._optimizer = torch.optim.AdamW(
            self._parameters, lr=self.peak, betas=(0.9, 0.99), weight_decay=self.weight_decay, fused=True
        )
        self.average = Ema(self.module, self.decay**AVERAGE_EVERY)
        if self.path.exists():
            self._restore(torch.load(self.path, weights_only=True))

    def _restore(self, state: dict[str, Any]) -> None:
        self.module.load_state_dict(state["module"])
        self.average.load(state["averaged"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    def save(self) -> None:
        """Write everything that a later `Fit` with the same path continues from."""
        state = {
            "module": self.module.state_dict(),
            "averaged": self.average.weights,
            "optimizer": self._optimizer.state_dict(),
            "step": self.step,
        }
        save_state(state, self.path)

    def run(self) -> None:
        """Train to `total` steps; saves every two minutes, at the end, and when interrupted."""
        saved, meter = time.monotonic(), Meter()
        try:
            while self.step < self.total:
                progress = meter.read(self.step + 1, self.total, self.advance())
                if self.step % REPORT_STEPS == 0 or self.step == self.total:
                    print(f"{self.path.stem}: {progress}", flush=True)
                if time.monotonic() - saved > SAVE_SECONDS:
                    self.save()
                    saved = time.monotonic()
        finally:
            self.save()

    def advance(self) -> float:
        """One step: its loss. Raises FloatingPointError, changing nothing, if that is not a number."""
        torch.manual_seed(self.step)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.total, self.peak, self.warmup)
        loss = self.loss(self.step)
        if not torch.isfinite(loss):
            message = f"The loss became {loss.item()} at step {self.step}; the last saved state is good."
            raise FloatingPointError(message)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        self.step += 1
        if self.step % AVERAGE_EVERY == 0:
            self.average.update(self.module, self.step)
        return loss.item()
