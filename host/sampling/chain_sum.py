"""Add residuals to those of the controls before, in the form that the host's models read."""

from collections.abc import Sequence

from torch import Tensor

from ...controlnet.residuals import PARTS, Placement, Residuals
from ...controlnet.strength.scaling import Scales, scale_residuals
from .lazy_residuals import HostResiduals


def chain_sum(residuals: Residuals, scales: Scales, previous: HostResiduals | None) -> HostResiduals:
    """Scale residuals and add what the controls before gave; in place, since the residuals are ours.

    Where neither gives anything is None: the host's models pass over it. The longer list sets the length.
    """
    summed: HostResiduals = {}
    slots: list[tuple[list[Tensor | None], int]] = []
    placement = residuals.placement or _in_order(residuals)
    for part in PARTS:
        indices, length = placement[part]
        taken = indices[: len(getattr(residuals, part))]  # the last ones may be missing
        values = list((previous or {}).get(part) or [])
        wanted = max([length, *(index + 1 for index in taken)])
        values += [None] * (wanted - len(values))
        summed[part] = values
        slots += [(values, index) for index in taken]
    scaled = scale_residuals(residuals, scales, [values[index] for values, index in slots])
    for (values, index), residual in zip(slots, scaled.flat, strict=True):
        values[index] = residual
    return summed


def unet_placement(output_count: int, residual_count: int) -> Placement:
    """A residual for each skip in encoder order, the rest for the middle block: ControlNets of Stable Diffusion."""
    return {
        "input": ((), 0),
        "output": (range(output_count), output_count),
        "middle": (range(residual_count - output_count), 0),
    }


def _in_order(residuals: Residuals) -> Placement:
    lists: dict[str, Sequence[Tensor]] = {part: getattr(residuals, part) for part in PARTS}
    return {part: (range(len(values)), len(values)) for part, values in lists.items()}
