"""What the loop asks of a dataset."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from .base import Prompt


@dataclass(frozen=True)
class Batch:
    """Samples of one size.

    latents: (B, C, h, w) at the scale on which the UNet diffuses. hints: (B, channels, 8h, 8w), 0..1.
    prompts: of the samples; empty: the empty prompt, one row.
    """

    latents: Tensor
    hints: Tensor
    prompts: Prompt
    empty: Prompt

    def to(self, device: torch.device) -> "Batch":
        return Batch(self.latents.to(device), self.hints.to(device), self.prompts.to(device), self.empty.to(device))


class Dataset(Protocol):
    """Pairs of picture and hint with a prompt, already encoded."""

    def __len__(self) -> int: ...

    def size(self, index: int) -> Hashable:
        """Samples of equal size may share a batch."""
        ...

    def batch(self, indices: Sequence[int]) -> Batch:
        """The samples with these indices, which are of one size."""
        ...


class TensorDataset:
    """Samples of one size that are in memory already."""

    def __init__(self, samples: Batch, indices: Tensor | None = None) -> None:
        """samples: all of them. indices: (N,) int64, the prompt of every sample, where several share one."""
        self._samples, self._prompt_of = samples, indices

    def __len__(self) -> int:
        return self._samples.latents.shape[0]

    def size(self, index: int) -> Hashable:
        return tuple(self._samples.latents.shape[1:])

    def batch(self, indices: Sequence[int]) -> Batch:
        chosen = torch.tensor(indices)
        of = chosen if self._prompt_of is None else self._prompt_of[chosen]
        all_ = self._samples
        vector = None if all_.prompts.vector is None else all_.prompts.vector[of]
        prompts = Prompt(all_.prompts.context[of], vector)
        return Batch(all_.latents[chosen].float(), _unit(all_.hints[chosen]), prompts, all_.empty)


def _unit(hints: Tensor) -> Tensor:
    """Hints may be kept in bytes."""
    return hints.float() / 255 if hints.dtype == torch.uint8 else hints.float()
