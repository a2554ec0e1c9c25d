"""Join residuals to what the controls before gave, in the form that the host's models read."""

from torch import Tensor

from ..controlnet.residuals import Residuals

Control = dict[str, list[Tensor | None]]
"""Lists `input`, `middle`, `output`; the host's models take them by index or from the end."""


def merge(residuals: Residuals, previous: Control | None, strength: float, pool: bool) -> Control:
    """Scale by the strength and add what the controls before gave; in place, since the residuals are ours.

    pool: give every point the mean of its picture (the shuffle ControlNet of v1.1).
    """
    merged: Control = {}
    for part in ("input", "middle", "output"):
        own = [_scale(residual, strength, pool) for residual in getattr(residuals, part)]
        merged[part] = _add(own, previous.get(part) or [] if previous is not None else [])
    return merged


def _scale(residual: Tensor, strength: float, pool: bool) -> Tensor:
    scaled = residual.mean(dim=(2, 3), keepdim=True) if pool else residual
    if strength != 1.0:
        scaled = scaled.mul_(strength)
    return scaled.expand_as(residual).contiguous() if pool else scaled


def _add(own: list[Tensor], before: list[Tensor | None]) -> list[Tensor | None]:
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
