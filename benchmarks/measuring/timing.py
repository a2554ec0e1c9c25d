"""Seconds of sides that take turns, and what can be said of them on a machine that others use too."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch


class Stopwatch:
    """An `Observer` of one round: seconds of every side's opening and turns."""

    def __init__(self, device: torch.device) -> None:
        self.turns: dict[str, list[tuple[int, int, float]]] = defaultdict(list)
        """(first step, number of steps, seconds)."""
        self.openings: dict[str, float] = defaultdict(float)
        self._device = device

    @contextmanager
    def opening(self, side: str) -> Iterator[None]:
        with _measuring(self._device) as seconds:
            yield
        self.openings[side] += seconds[0]

    @contextmanager
    def stepping(self, side: str, steps: range) -> Iterator[None]:
        with _measuring(self._device) as seconds:
            yield
        self.turns[side].append((steps.start, len(steps), seconds[0]))


@contextmanager
def _measuring(device: torch.device) -> Iterator[list[float]]:
    """Seconds of the block in a list. On a GPU between events in its stream, which begins and ends idle.

    On a CPU those that this process got: with one thread the same as a clock shows on a machine that is left alone.
    """
    seconds: list[float] = []
    if device.type != "cuda":
        begin = time.process_time()
        yield seconds
        seconds.append(time.process_time() - begin)
        return
    torch.cuda.synchronize(device)
    events = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
    events[0].record()
    yield seconds
    events[1].record()
    torch.cuda.synchronize(device)
    seconds.append(events[0].elapsed_time(events[1]) / 1000)


@dataclass(frozen=True)
class Spread:
    """The median of some numbers, with the least and the greatest."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


def steps_of(rounds: Sequence[Sequence[tuple[int, int, float]]]) -> list[float]:
    """Seconds a step of every turn but those with what is done only once: the first, where turns are single steps."""
    return [seconds / count for turns in rounds for first, count, seconds in turns if first > 0 or count > 1]


def paired(numerators: Sequence[float], denominators: Sequence[float]) -> Spread:
    """Ratios of what was measured within the same few seconds."""
    return Spread.of([a / b for a, b in zip(numerators, denominators, strict=True)])
