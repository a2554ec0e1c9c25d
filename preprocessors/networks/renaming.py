"""From the weight names of an official file to those of the same network in transformers."""

import re
from collections.abc import Mapping, Sequence

from torch import Tensor

Rules = Sequence[tuple[str, str]]
"""Regular expressions and what takes their place; all are tried, in this order."""


def rename(state_dict: Mapping[str, Tensor], rules: Rules) -> dict[str, Tensor]:
    """The same tensors, each under the name that the rules make of its own."""
    renamed = {}
    for name, value in state_dict.items():
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        renamed[name] = value
    return renamed


def split(state_dict: Mapping[str, Tensor], pattern: str, names: Sequence[str]) -> dict[str, Tensor]:
    """Tensors whose name matches hold several of equal size, one after the other: each under its own name.

    names: replacements of the pattern, one for each part.
    """
    parts = {}
    for name, value in state_dict.items():
        if re.search(pattern, name):
            pieces = value.chunk(len(names))
            parts.update((re.sub(pattern, new, name), piece) for new, piece in zip(names, pieces, strict=True))
        else:
            parts[name] = value
    return parts


def count(state_dict: Mapping[str, Tensor], pattern: str) -> int:
    """How many layers there are: one more than the highest number in the pattern's group. 0 where none matches."""
    numbers = [int(found[1]) for name in state_dict if (found := re.search(pattern, name))]
    return max(numbers, default=-1) + 1
