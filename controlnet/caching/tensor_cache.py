"""What one sampling computes once: the hint's embedding and the prompt's keys and values; and residuals, if asked to.

The first two do not depend on the noise, so both are kept from step to step. Entries are found by the identity of the
tensor they were made from (and a token for the state of the weights); they hold that tensor, so that an identity is
never reused while its entry lives. Whoever calls makes sure that equal content arrives as the same tensor.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from ..networks.blocks import KeysValues
from ..residuals import Residuals
from .run_interval import RunInterval

Kept = TypeVar("Kept")

CAUTION = 0.75
"""The change a step counts as at least this share of what it was before: one quiet stretch does not mean rest."""
SMALLEST_NORM = 1e-12
"""Of a residual: those of a network that was not trained yet are all zero, and have not changed."""


@dataclass
class Counts:
    """How often each part was really computed; for tests and benchmarks."""

    hint_embeddings: int = 0
    context_projections: int = 0
    forwards: int = 0
    rows: int = 0
    """Rows of all forwards: cond and uncond of one picture are two."""


class TensorCache(Generic[Kept]):
    """The last few results, by the tensor they were made from."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[Hashable, tuple[Tensor, Kept]] = OrderedDict()

    def get(self, source: Tensor, token: Hashable, make: Callable[[], Kept]) -> Kept:
        key = (id(source), token)
        if key in self._entries:
            self._entries.move_to_end(key)
            return self._entries[key][1]
        kept = make()
        self._entries[key] = (source, kept)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)
        return kept

    def clear(self) -> None:
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)


class NetworkCache:
    """The kept work of one network; shared by all controls that use it."""

    def __init__(self, capacity: int = 8) -> None:
        self.hints: TensorCache[Tensor] = TensorCache(capacity)
        self.contexts: TensorCache[list[KeysValues]] = TensorCache(capacity)
        self.counts = Counts()

    def clear(self) -> None:
        """Let go of all tensors; the counts stay."""
        self.hints.clear()
        self.contexts.clear()


@dataclass
class Run:
    """Residuals of one request, at a step of the sampling. change: as `RunInterval.due` takes it."""

    step: int
    residuals: Residuals
    change: float | None


Later = Callable[[Tensor, Callable[[float], None]], None]
"""Hands a number on the device to a function, some time before the next step: reading it at once stops the CPU."""


class RunCache:
    """The last request of one control for each kind of call that a step makes (sides, areas, windows).

    capacity: kinds; each holds a set of residuals. With more kinds than that the network runs as if nothing was kept.
    """

    def __init__(self, capacity: int = 4) -> None:
        self._capacity = capacity
        self._runs: OrderedDict[Hashable, Run] = OrderedDict()

    def residuals(
        self, key: Hashable, step: int, run_interval: RunInterval, evaluate: Callable[[], Residuals], later: Later
    ) -> tuple[Residuals, bool]:
        """Residuals that the caller may change, and whether they were evaluated now.

        key: of the kind of call. step: a sampler that evaluates twice in a step, or goes back, gets no kept ones.
        """
        last = self._runs.get(key)
        if last is not None and last.step < step and not run_interval.due(step - last.step, last.change):
            return last.residuals.copy(), False
        residuals = evaluate()
        run = Run(step, residuals.copy(), None if last is None else last.change)
        if run_interval.measures and last is not None and last.step < step:
            before = last.change or 0.0
            change = greatest_change(last.residuals, residuals) / (step - last.step)
            later(change, lambda value: setattr(run, "change", max(value, CAUTION * before)))
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
