"""Multiplying residuals by all factors at once: one pass over each tensor, however many factors there are."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .mask import Mask
from .residuals import Residuals


@dataclass(frozen=True)
class Scales:
    """Factors for the residuals of one step; None is a factor of one.

    strength: for all. blocks: one for each residual, in the order input, output, middle (by depth). rows: one for
    each row of the batch. mask: laid over the picture; `mask_rows` says which of its pictures each row takes, and
    `latent_size` is height and width of the latent.
    """

    strength: float = 1.0
    blocks: tuple[float, ...] | None = None
    rows: tuple[float, ...] | None = None
    mask: Mask | None = None
    mask_rows: tuple[int, ...] = ()
    latent_size: tuple[int, int] = (0, 0)


def scale_residuals(residuals: Residuals, scales: Scales) -> Residuals:
    """Multiply; in place, since the residuals are the caller's own.

    Several residuals may be one tensor (DiT families repeat it): it is scaled once, and copied only if its blocks
    have different weights. A residual of weight zero becomes zeros.
    """
    flat = [*residuals.input, *residuals.output, *residuals.middle]
    blocks = scales.blocks or (1.0,) * len(flat)
    factors = [scales.strength * block for block in blocks]
    weights_of: dict[int, set[float]] = {}
    for tensor, factor in zip(flat, factors, strict=True):
        weights_of.setdefault(id(tensor), set()).add(factor)
    done: dict[tuple[int, float], Tensor] = {}
    for tensor, factor in zip(flat, factors, strict=True):
        if (id(tensor), factor) not in done:
            done[id(tensor), factor] = _scale(tensor, factor, scales, in_place=len(weights_of[id(tensor)]) == 1)
    scaled = [done[id(tensor), factor] for tensor, factor in zip(flat, factors, strict=True)]
    inputs, outputs = len(residuals.input), len(residuals.output)
    return Residuals(
        input=tuple(scaled[:inputs]),
        output=tuple(scaled[inputs : inputs + outputs]),
        middle=tuple(scaled[inputs + outputs :]),
    )


def _scale(residual: Tensor, factor: float, scales: Scales, in_place: bool) -> Tensor:
    multiplier = _multiplier(residual, factor, scales)
    if isinstance(multiplier, float):
        if multiplier == 1.0:
            return residual
        if multiplier == 0.0:
            return torch.zeros_like(residual)
    return residual.mul_(multiplier) if in_place else residual * multiplier


def _multiplier(residual: Tensor, factor: float, scales: Scales) -> Tensor | float:
    """A number, or a small tensor that broadcasts over the residual's channels."""
    combined: Tensor | float = factor
    if scales.rows is not None:
        shape = (-1, *(1,) * (residual.dim() - 1))
        combined = torch.tensor(scales.rows, device=residual.device, dtype=residual.dtype).view(shape) * factor
    if scales.mask is not None:
        mask = scales.mask.for_residual(residual, scales.latent_size)
        combined = (mask[list(scales.mask_rows)] if mask.shape[0] > 1 else mask) * combined
    return combined


def spread_rows(residuals: Residuals, kept: Sequence[int], rows: int) -> Residuals:
    """Put residuals that were computed for the `kept` rows alone back into a batch of `rows`; zeros elsewhere."""

    def spread(part: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        index = torch.tensor(kept, dtype=torch.int64)
        return tuple(t.new_zeros(rows, *t.shape[1:]).index_copy_(0, index.to(t.device), t) for t in part)

    return Residuals(spread(residuals.output), spread(residuals.middle), spread(residuals.input))
