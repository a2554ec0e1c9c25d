"""Where a training stands: step, loss, rate, time left."""

import time
from collections import deque
from dataclasses import dataclass

WINDOW = 50
"""Steps over which the loss is smoothed and the rate is measured."""
WORTH_TELLING = 0.05
"""Share of the time that a training waits for its pairs before it is told."""


@dataclass(frozen=True)
class Progress:
    """Where a training stands after a step.

    smoothed: mean loss of the last steps. rate: steps per second. remaining: seconds left, at the mean time of all
    steps since the start, with the samples and saves between them. waiting: share of the time in which a step waits
    for its pairs to be read.
    """

    step: int
    steps: int
    loss: float
    smoothed: float
    rate: float
    remaining: float
    waiting: float = 0.0

    def __str__(self) -> str:
        minutes, seconds = divmod(round(self.remaining), 60)
        waiting = f", {self.waiting:.0%} of it waiting for pairs (see workers)" if self.waiting > WORTH_TELLING else ""
        return (
            f"step {self.step} of {self.steps}, loss {self.smoothed:.4f}, {self.rate:.2f} steps/s, "
            f"{minutes}:{seconds:02d} left{waiting}"
        )


class Meter:
    """Smooths the loss and measures the rate."""

    def __init__(self) -> None:
        self._losses: deque[float] = deque(maxlen=WINDOW)
        self._times: deque[float] = deque([time.monotonic()], maxlen=WINDOW)
        self._waits: deque[float] = deque([0.0], maxlen=WINDOW)
        self._start, self._count = self._times[0], 0

    def read(self, step: int, steps: int, loss: float, waited: float = 0.0) -> Progress:
        """Record a finished step. waited: seconds of all steps so far in which pairs were not there yet."""
        self._losses.append(loss)
        self._times.append(time.monotonic())
        self._count += 1
        self._waits.append(waited)
        passed = self._times[-1] - self._times[0]
        rate = (len(self._times) - 1) / passed if passed > 0 else 0.0
        waiting = (self._waits[-1] - self._waits[0]) / passed if passed > 0 else 0.0
        remaining = (steps - step) * (self._times[-1] - self._start) / self._count
        return Progress(step, steps, loss, sum(self._losses) / len(self._losses), rate, remaining, waiting)
