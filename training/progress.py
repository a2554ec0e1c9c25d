"""What the loop tells while it runs."""

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .loop import Trainer

WINDOW = 50
"""Steps over which the loss is smoothed and the rate is measured."""


@dataclass(frozen=True)
class Progress:
    """Where a training stands after a step. rate: steps a second; remaining: seconds."""

    step: int
    steps: int
    loss: float
    smoothed: float
    rate: float

    @property
    def remaining(self) -> float:
        return (self.steps - self.step) / self.rate if self.rate > 0 else 0.0

    def __str__(self) -> str:
        minutes, seconds = divmod(round(self.remaining), 60)
        return (
            f"step {self.step} of {self.steps}, loss {self.smoothed:.4f}, {self.rate:.2f} steps/s, "
            f"{minutes}:{seconds:02d} left"
        )


class Callbacks:
    """What the loop calls; override what is wanted. All are called in every process.

    `stepped` and `sample` may raise Interrupted.
    """

    def stepped(self, progress: Progress) -> None:
        """After every step."""

    def sample(self, trainer: "Trainer") -> None:
        """Every `sample_every` steps, before the first and after the last."""

    def save(self, trainer: "Trainer") -> None:
        """Every `save_every` steps, at the end and after an interrupt: write `trainer.state()`."""

    def interrupted(self) -> bool:
        """Whether to stop; asked before every pass."""
        return False


class Meter:
    """Smooths the loss and measures the rate."""

    def __init__(self) -> None:
        self._losses: deque[float] = deque(maxlen=WINDOW)
        self._times: deque[float] = deque([time.monotonic()], maxlen=WINDOW)

    def read(self, step: int, steps: int, loss: float) -> Progress:
        """Take in a finished step."""
        self._losses.append(loss)
        self._times.append(time.monotonic())
        passed = self._times[-1] - self._times[0]
        rate = (len(self._times) - 1) / passed if passed > 0 else 0.0
        return Progress(step, steps, loss, sum(self._losses) / len(self._losses), rate)
