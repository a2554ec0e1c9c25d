"""Small tensors made of numbers that repeat at every step: indices of rows, factors of rows.

Copying them to the device anew each time would make the CPU wait for it.
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor

CAPACITY = 64
"""Tensors that are kept: a chain needs a few for each of its controls."""


class Constants:
    """The last tensors that were asked for, by their numbers, dtype and device."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[object, ...], Tensor] = OrderedDict()

    def get(self, numbers: Sequence[float], dtype: torch.dtype, device: torch.device) -> Tensor:
        """(count,) tensor of these numbers; it is shared, and not to be changed."""
        key = tuple(numbers), dtype, device
        if key not in self._kept:
            self._kept[key] = torch.tensor(key[0], dtype=dtype, device=device)
            if len(self._kept) > CAPACITY:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def rows(self, values: Tensor, indices: Sequence[int]) -> Tensor:
        """The rows of values with these indices; a view of them where they follow one another."""
        if is_range(indices):
            return values[indices[0] : indices[-1] + 1]
        return values.index_select(0, self.get(indices, torch.int64, values.device))

    def clear(self) -> None:
        self._kept.clear()


def is_range(indices: Sequence[int]) -> bool:
    """Whether indices follow one another, so that a slice takes them and no list of them is needed."""
    return len(indices) > 0 and tuple(indices) == tuple(range(indices[0], indices[0] + len(indices)))
