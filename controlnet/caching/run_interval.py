"""Fewer runs, on purpose: at which steps the network is evaluated, its residuals being used again at those between.

Approximate, and off unless asked for. A ControlNet is a copy of the UNet's encoder, whose features change little from
one step to the next (Li et al. 2023, "Faster Diffusion", arXiv 2312.09608).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

MOST_STEPS = 20
"""Between two runs, for `EveryNthStep`."""


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


def plan_runs(run_interval: RunInterval | None, acts: Sequence[bool]) -> tuple[bool, ...]:
    """At which steps the network runs, of those at which the control acts; all that an adaptive one might need."""
    runs: list[bool] = []
    last: int | None = None
    for step, acting in enumerate(acts):
        runs.append(acting and (run_interval is None or last is None or run_interval.due(step - last, None)))
        last = step if runs[-1] else last
    return tuple(runs)
