"""Join residuals to what the controls before gave, in the form that the host's models read."""

from torch import Tensor

from ..controlnet.residuals import Residuals

Control = dict[str, list[Tensor | None]]
"""Lists `input`, `middle`, `output`; the host's models take them by index or from the end."""


def merge(residuals: Residuals, previous: Control | None, outputs: int) -> Control:
    """Add what the controls before gave; in place, since the residuals are ours.

    outputs: how many the host takes; residuals that were left out, behind the last that acts, become None.
    """
    merged: Control = {}
    for part in ("input", "middle", "output"):
        own: list[Tensor | None] = list(getattr(residuals, part))
        if part == "output":
            own += [None] * (outputs - len(own))
        merged[part] = _add(own, previous.get(part) or [] if previous is not None else [])
    return merged


def _add(own: list[Tensor | None], before: list[Tensor | None]) -> list[Tensor | None]:
    """Sum two lists of residuals index by index; the longer one sets the length."""
    merged: list[Tensor | None] = []
    for index in range(max(len(own), len(before))):
        mine = own[index] if index < len(own) else None
        other = before[index] if index < len(before) else None
        if mine is None or other is None:
            merged.append(mine if other is None else other)
        elif mine.shape == other.shape:
            merged.append(mine.add_(other))
        else:
            merged.append(mine + other)
    return merged
