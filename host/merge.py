"""Join residuals to what the controls before gave, in the form that the host's models read."""

from collections import Counter

from torch import Tensor

from ..controlnet.residuals import Residuals
from .pending import Control


def merge(residuals: Residuals, previous: Control | None, outputs: int) -> Control:
    """Add what the controls before gave; in place, since the residuals are ours.

    outputs: how many the host takes; residuals that were left out, behind the last that acts, become None.
    """
    merged: Control = {}
    for part in ("input", "middle", "output"):
        own: list[Tensor | None] = list(getattr(residuals, part))
        if part == "output":
            own += [None] * (outputs - len(own))
        merged[part] = own
    return join(merged, previous)


def join(own: Control, previous: Control | None) -> Control:
    """Sum two controls in the host's form; in place, since the first is ours."""
    before = previous or {}
    return {part: _add(residuals, before.get(part) or []) for part, residuals in own.items()}


def _add(own: list[Tensor | None], before: list[Tensor | None]) -> list[Tensor | None]:
    """Sum two lists of residuals index by index; the longer one sets the length.

    DiT families repeat one tensor over several blocks, which may get different ones added: that one is left as it is.
    """
    uses = Counter(id(tensor) for tensor in own)
    merged: list[Tensor | None] = []
    for index in range(max(len(own), len(before))):
        mine = own[index] if index < len(own) else None
        other = before[index] if index < len(before) else None
        if mine is None or other is None:
            merged.append(mine if other is None else other)
        elif mine.shape == other.shape and uses[id(mine)] == 1:
            merged.append(mine.add_(other))
        else:
            merged.append(mine + other)
    return merged
