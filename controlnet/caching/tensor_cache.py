"""Tensors that one sampling computes once and uses at every step: encoded hints, projections of the prompt.

Entries are found by the identity of the tensor they were made from, and by a token for all else that shaped them. They
hold that tensor, so that an identity is never reused while its entry lives. Callers make sure that equal content
arrives as the same tensor.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import Tensor

from ..networks.blocks import KeysValues

Value = TypeVar("Value")

CAPACITY = 8
"""Results that one cache holds: regions, the hints of a union, prompts of different length."""


class TensorCache(Generic[Value]):
    """The last few results, by the tensor they were made from."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[Hashable, tuple[Tensor, Value]] = OrderedDict()

    def get(self, source: Tensor, token: Hashable, make: Callable[[], Value]) -> Value:
        """The result for this source and token, made by `make` if it is not there."""
        key = (id(source), token)
        if key in self._entries:
            self._entries.move_to_end(key)
            return self._entries[key][1]
        value = make()
        self._entries[key] = (source, value)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)
        return value

    def clear(self) -> None:
        self._entries.clear()

    def __len__(self) -> int:
        return len(self._entries)


@dataclass
class Counts:
    """How often each part was really computed; for tests and benchmarks."""

    hint_embeddings: int = 0
    context_projections: int = 0
    forwards: int = 0
    rows: int = 0
    """Rows of all forwards: cond and uncond of one picture are two."""


class NetworkCache:
    """Work that all controls of one network share: the projected prompts, and the counts."""

    def __init__(self) -> None:
        self.contexts: TensorCache[list[KeysValues]] = TensorCache()
        self.counts = Counts()

    def clear(self) -> None:
        """Let go of all tensors; the counts stay."""
        self.contexts.clear()
