"""What one sampling computes once: the hint's embedding and the prompt's keys and values.

Neither depends on the noise, so both are kept from step to step. Entries are found by the identity of the tensor
they were made from (and a token for the state of the weights); they hold that tensor, so that an identity is never
reused while its entry lives. Whoever calls makes sure that equal content arrives as the same tensor.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import Tensor

from .blocks import KeysValues

Kept = TypeVar("Kept")


@dataclass
class Counts:
    """How often each part was really computed; for tests and benchmarks."""

    hint_embeddings: int = 0
    context_projections: int = 0
    forwards: int = 0
    rows: int = 0
    """Rows of all forwards: cond and uncond of one picture are two."""


class Memory(Generic[Kept]):
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


class Reuse:
    """The kept work of one network; shared by all controls that use it."""

    def __init__(self, capacity: int = 8) -> None:
        self.hints: Memory[Tensor] = Memory(capacity)
        self.contexts: Memory[list[KeysValues]] = Memory(capacity)
        self.counts = Counts()

    def clear(self) -> None:
        """Let go of all tensors; the counts stay."""
        self.hints.clear()
        self.contexts.clear()
