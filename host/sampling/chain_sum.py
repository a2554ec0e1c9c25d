"""Join residuals to what the controls before gave, in the form that the host's models read."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from ...controlnet.residuals import Residuals
from ...controlnet.strength.scaling import Scales, scale_residuals
from .lazy_residuals import Control

Places = Mapping[str, tuple[Sequence[int], int]]
"""Of `input`, `output` and `middle`: where in the host's list each residual goes, and how long that list is."""


def merge(residuals: Residuals, scales: Scales, places: Places, previous: Control | None) -> Control:
    """Scale and add what the controls before gave; in place, since the residuals are ours.

    Where neither gives anything is None: the host's models pass over it. The longer list sets the length.
    """
    merged: Control = {}
    slots: list[tuple[list[Tensor | None], int]] = []
    for part in ("input", "output", "middle"):  # as `Residuals.flat`
        where, length = places[part]
        taken = where[: len(getattr(residuals, part))]  # the last ones may be missing
        values = list((previous or {}).get(part) or [])
        wanted = max([length, *(place + 1 for place in taken)])
        values += [None] * (wanted - len(values))
        merged[part] = values
        slots += [(values, place) for place in taken]
    summed = scale_residuals(residuals, scales, [values[place] for values, place in slots])
    for (values, place), residual in zip(slots, summed.flat, strict=True):
        values[place] = residual
    return merged
