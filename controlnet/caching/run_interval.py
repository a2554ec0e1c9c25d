"""Fewer runs, on purpose: at which steps the network is evaluated, its residuals being used again at those between.

Approximate, and off unless asked for. A ControlNet is a copy of the UNet's encoder, whose features change little from
one step to the next (Li et al. 2023, "Faster Diffusion", arXiv 2312.09608).
"""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..residuals import Residuals

MOST_STEPS = 20
"""Upper limit of `EveryNthStep.n`."""
DECAY = 0.75
"""Decay of the running maximum of the relative change, so that one small change does not stop the runs."""
SMALLEST_NORM = 1e-12
"""Smallest norm to divide by: the residuals of a network that was not trained yet are all zero."""


class RunInterval(ABC):
    """Decides at each step after the first whether the network runs again."""

    measures: bool
    """Whether it wants to know how much the residuals change."""

    @abstractmethod
    def due(self, steps: int, change: float | None) -> bool:
        """Whether to run again. steps: since the last run, 1 or more.

        change: how much the residuals changed a step, between the last two runs: the greatest relative change of one
        of them (0..); None as long as it is not known.
        """


@dataclass(frozen=True)
class EveryNthStep(RunInterval):
    """One run in `n` steps, the first included. Raises ValueError for n outside 1..20."""

    n: int = 2
    measures = False

    def __post_init__(self) -> None:
        if not 1 <= self.n <= MOST_STEPS:
            raise ValueError(f"The network cannot run every {self.n} steps; choose 1 to {MOST_STEPS}.")

    def due(self, steps: int, change: float | None) -> bool:
        return steps >= self.n

    def __str__(self) -> str:
        return f"every {self.n} steps"


@dataclass(frozen=True)
class Adaptive(RunInterval):
    """A run as soon as the residuals would be off by more than `tolerance`, a share of their size.

    The change between the last two runs, for each step between them, tells how far off they will be: changes of
    several steps partly cancel out, so this errs to the side of running. Raises ValueError for a tolerance outside
    0..1.
    """

    tolerance: float = 0.2
    measures = True

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance <= 1:
            raise ValueError(f"The tolerance is {self.tolerance:g}; it is a share of the residuals' size, 0..1.")

    def due(self, steps: int, change: float | None) -> bool:
        return change is None or change * steps > self.tolerance

    def __str__(self) -> str:
        return f"adaptive, tolerance {self.tolerance:g}"


def plan_runs(run_interval: RunInterval | None, active: Sequence[bool]) -> tuple[bool, ...]:
    """At which steps the network runs, of those at which the control is active; all that an adaptive one might need."""
    runs: list[bool] = []
    last: int | None = None
    for step, is_active in enumerate(active):
        runs.append(is_active and (run_interval is None or last is None or run_interval.due(step - last, None)))
        last = step if runs[-1] else last
    return tuple(runs)


Defer = Callable[[Tensor, Callable[[float], None]], None]
"""Hands a number on the device to a function, some time before the next step: reading it at once stops the CPU."""


@dataclass
class Run:
    """Residuals of one evaluation, at a step of the sampling. change: as `RunInterval.due` takes it."""

    step: int
    residuals: Residuals
    change: float | None

    def raise_change(self, value: float, before: float) -> None:
        """Take a measured change, or what is left of an earlier greater one."""
        self.change = max(value, DECAY * before)


class RunCache:
    """The last evaluation of one control for each kind of call that a step makes (prompts, regions, windows).

    capacity: kinds; each holds a set of residuals. With more kinds than that the network runs as if nothing was kept.
    """

    def __init__(self, capacity: int = 4) -> None:
        self._capacity = capacity
        self._runs: OrderedDict[Hashable, Run] = OrderedDict()

    def residuals(
        self,
        key: Hashable,
        step: int,
        run_interval: RunInterval,
        evaluate: Callable[[], Residuals],
        defer: Defer,
    ) -> tuple[Residuals, bool]:
        """Residuals that the caller may change, and whether they were evaluated now.

        key: the kind of call. step: a sampler that evaluates twice in a step, or goes back, gets no earlier ones.
        defer: reads the measured change with the next step.
        """
        last = self._runs.get(key)
        if last is not None and last.step < step and not run_interval.due(step - last.step, last.change):
            return last.residuals.copy(), False
        residuals = evaluate()
        run = Run(step, residuals.copy(), None if last is None else last.change)
        if run_interval.measures and last is not None and last.step < step:
            before = last.change or 0.0
            change = greatest_change(last.residuals, residuals) / (step - last.step)
            defer(change, lambda value: run.raise_change(value, before))
        self._runs[key] = run
        self._runs.move_to_end(key)
        if len(self._runs) > self._capacity:
            self._runs.popitem(last=False)
        return residuals, True

    def clear(self) -> None:
        self._runs.clear()

    def __len__(self) -> int:
        return len(self._runs)


def greatest_change(before: Residuals, after: Residuals) -> Tensor:
    """The greatest of |after - before| / |after| over the residuals (L2 norms), a number on their device."""
    shares = [_norm(b - a) / _norm(b).clamp_min(SMALLEST_NORM) for a, b in zip(before.flat, after.flat, strict=True)]
    return torch.stack(shares).amax()


def _norm(residual: Tensor) -> Tensor:
    return torch.linalg.vector_norm(residual, dtype=torch.float32)
