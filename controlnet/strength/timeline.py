"""Where in a sampling a step is: the three ways in which programs count it.

- timesteps: the fraction of the model's training timesteps that is behind, as ComfyUI's start_percent means it.
- steps: step i of n is at i / n. It is inside start..end when it begins and ends inside (diffusers).
- steps (A1111): the same position, but inside already when it begins inside, both ends included (sd-webui).
- sigma: the noise level itself; for schedules only.

For one and the same "0..0.8" these run different steps: see the table in the tests.
"""

import bisect
import functools
import itertools
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

RangeCounting = Literal["timesteps", "steps", "steps (A1111)"]
Counting = Literal["timesteps", "steps", "steps (A1111)", "sigma"]
RANGE_COUNTINGS: tuple[RangeCounting, ...] = get_args(RangeCounting)
COUNTINGS: tuple[Counting, ...] = get_args(Counting)

HALVINGS = 30
"""Steps of the bisection that finds a percent: they leave 1e-9 of the range."""

DECIMALS = 6
"""Positions are rounded, or float32 noise of the sigmas would put a step just before the keyframe it stands on."""


@dataclass(frozen=True)
class Span:
    """From where to where a control acts: fractions 0..1 in the given counting.

    Raises ValueError when the start is after the end or one of them outside 0..1.
    """

    start: float = 0.0
    end: float = 1.0
    counting: RangeCounting = "timesteps"

    def __post_init__(self) -> None:
        for name, value in (("start", self.start), ("end", self.end)):
            if not 0 <= value <= 1:
                raise ValueError(f"The {name} of the control's range is {value:g}; it must lie in 0..1.")
        if self.start > self.end:
            raise ValueError(
                f"The control's range starts at {self.start:g}, after its end at {self.end:g}: it would never act. "
                "Lower the start or raise the end."
            )


@dataclass(frozen=True)
class SamplingTimeline:
    """One run of a sampler.

    sigmas: the noise levels of this run, falling, one more than steps (the last is where it ends, mostly 0). A
    second pass (start_at_step, denoise < 1) has the sigmas from its own start on, and counts its own steps.
    percent_to_sigma: the host's function from the fraction of timesteps behind (0..1) to a sigma. searched: the same
    function where it costs less and may round in another way, to find the fraction of a sigma; None: the host's.
    """

    sigmas: tuple[float, ...]
    percent_to_sigma: Callable[[float], float]
    searched: Callable[[float], float] | None = None

    @property
    def steps(self) -> int:
        return max(len(self.sigmas) - 1, 1)

    def step(self, sigma: float) -> int:
        """The step that an evaluation at this sigma belongs to, 0..steps-1.

        Samplers of second order also evaluate between two sigmas: that belongs to the step that began last.
        """
        begun = bisect.bisect_right(self._levels, -_float32(sigma))
        return max(begun - 1, 0)

    @functools.cached_property
    def _levels(self) -> list[float]:
        """For each step the highest level that it or a later one begins at, negative: a rising list to search in."""
        negative = (-_float32(level) for level in reversed(self.sigmas[:-1]))
        return list(itertools.accumulate(negative, min))[::-1]

    def position(self, sigma: float, counting: Counting) -> float:
        """How far the sampling is at this sigma, in the given counting."""
        if counting == "sigma":
            return sigma
        if counting == "timesteps":
            return self._percent(sigma)
        return self.step(sigma) / self.steps

    def inside(self, sigma: float, span: Span) -> bool:
        """Whether a control with this span acts at this sigma; each counting by its own program's rule."""
        if span.counting == "timesteps":
            start, end = (_float32(float(self.percent_to_sigma(p))) for p in (span.start, span.end))
            return end <= _float32(sigma) <= start
        begin, end = self.step(sigma) / self.steps, (self.step(sigma) + 1) / self.steps
        return span.start <= begin and (begin if span.counting == "steps (A1111)" else end) <= span.end

    def _percent(self, sigma: float) -> float:
        """Inverse of `percent_to_sigma`, which falls, by halving."""
        percent_to_sigma = self.searched or self.percent_to_sigma
        low, high = 0.0, 1.0
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if float(percent_to_sigma(middle)) > sigma else (low, middle)
        return round((low + high) / 2, DECIMALS)


def _float32(value: float) -> float:
    """The value as the host's float32 sigmas see it, so that equal bounds compare equal."""
    return struct.unpack("f", struct.pack("f", value))[0]
