"""The data set as the loop needs it, and one in memory."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..base import Prompt


@dataclass(frozen=True)
class Batch:
    """Encoded pairs of one size.

    latents: (B, C, h, w) at the scale on which the UNet diffuses. hints: (B, channels, 8h, 8w), 0..1.
    prompts: one row for each pair; empty: the empty prompt, one row.
    """

    latents: Tensor
    hints: Tensor
    prompts: Prompt
    empty: Prompt

    def to(self, device: torch.device) -> "Batch":
        return Batch(self.latents.to(device), self.hints.to(device), self.prompts.to(device), self.empty.to(device))


class NotCached(LookupError):
    """A tensor is not cached, and the model that would compute it is not here."""


class BatchReader(Protocol):
    """Reads encoded pairs; can be sent to another process."""

    def batch(self, indices: Sequence[int]) -> Batch:
        """The pairs with these indices, which are of one size. Raises NotCached."""
        ...


class Dataset(Protocol):
    """Encoded pairs of picture and hint, with prompts."""

    def __len__(self) -> int: ...

    def size(self, index: int) -> Hashable:
        """The size of a pair; pairs of equal size may share a batch."""
        ...

    def batch(self, indices: Sequence[int]) -> Batch:
        """The pairs with these indices, which are of one size."""
        ...

    def reader(self) -> BatchReader:
        """A reader of the same pairs without the base model, for threads and processes."""
        ...


class TensorDataset:
    """Encoded pairs of one size, in memory."""

    def __init__(self, pairs: Batch, indices: Tensor | None = None) -> None:
        """pairs: all of them. indices: (N,) int64, the row of the prompt of every pair, where several share one."""
        self._pairs, self._prompt_of = pairs, indices

    def __len__(self) -> int:
        return self._pairs.latents.shape[0]

    def size(self, index: int) -> Hashable:
        return tuple(self._pairs.latents.shape[1:])

    def batch(self, indices: Sequence[int]) -> Batch:
        chosen = torch.tensor(indices)
        of = chosen if self._prompt_of is None else self._prompt_of[chosen]
        pairs = self._pairs
        vector = None if pairs.prompts.vector is None else pairs.prompts.vector[of]
        prompts = Prompt(pairs.prompts.context[of], vector)
        return Batch(pairs.latents[chosen].float(), _unit(pairs.hints[chosen]), prompts, pairs.empty)

    def reader(self) -> BatchReader:
        return self


def _unit(hints: Tensor) -> Tensor:
    """Hints in 0..1, also from bytes."""
    return hints.float() / 255 if hints.dtype == torch.uint8 else hints.float()
