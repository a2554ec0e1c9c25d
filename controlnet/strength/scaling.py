"""Residuals times all factors plus what other controls gave: one pass over each tensor, however many factors."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..hint.region import Region
from ..residuals import Residuals
from .mask import Mask


@dataclass(frozen=True)
class Scales:
    """Factors for the residuals of one step; None is a factor of one.

    strength: for all. blocks: one for each residual, in order of depth. rows: one for
    each row of the batch. mask: laid over the picture; `mask_rows` says which of its pictures each row takes, and
    `latent_size` is height and width of the latent.
    """

    strength: float = 1.0
    blocks: tuple[float, ...] | None = None
    rows: tuple[float, ...] | None = None
    mask: Mask | None = None
    mask_rows: tuple[int, ...] = ()
    latent_size: tuple[int, int] = (0, 0)

    def in_regions(self, regions: tuple[Region, ...]) -> "Scales":
        """With the parts of the mask in the regions: one for each group of rows, or none for the whole mask."""
        if self.mask is None or not regions:
            return self
        pictures = len(self.mask_rows) // len(regions)
        rows = tuple(row // pictures * self.mask.pictures + index for row, index in enumerate(self.mask_rows))
        return replace(self, mask=self.mask.cut(regions), mask_rows=rows)


def scale_residuals(residuals: Residuals, scales: Scales, onto: Sequence[Tensor | None] | None = None) -> Residuals:
    """Multiply, and add what is given: one pass over each residual; in place, since they are the caller's own.

    onto: what to add to each, in the order of `Residuals.flat`; None is nothing. Tensors of it are only read.
    Several residuals may be one tensor (DiT families repeat it): it is scaled once, and copied only if its blocks
    have different weights or get different things added. A residual of weight zero becomes zeros.
    """
    flat = residuals.flat
    factors = [scales.strength * block for block in scales.blocks or (1.0,) * len(flat)]
    multipliers = _Multipliers(scales)
    keys = [
        (id(tensor), factor, id(other))
        for tensor, factor, other in zip(flat, factors, onto or (None,) * len(flat), strict=True)
    ]
    results_of = Counter(tensor for tensor, _, _ in set(keys))
    done: dict[tuple[int, float, int], Tensor] = {}
    for index, (tensor, key) in enumerate(zip(flat, keys, strict=True)):
        if key not in done:
            multiplier, other = multipliers(tensor, factors[index]), None if onto is None else onto[index]
            done[key] = _scale(tensor, multiplier, other, results_of[id(tensor)] == 1)
    return residuals.with_flat([done[key] for key in keys])


def _scale(residual: Tensor, multiplier: Tensor | float, onto: Tensor | None, in_place: bool) -> Tensor:
    number = None if isinstance(multiplier, Tensor) else multiplier
    if number == 0:
        return torch.zeros_like(residual) if onto is None else onto
    if onto is None:
        if number == 1:
            return residual
        return residual.mul_(multiplier) if in_place else residual * multiplier
    out = residual if in_place and residual.shape == onto.shape else None
    if isinstance(multiplier, Tensor):
        return torch.addcmul(onto, residual, multiplier, out=out)
    return torch.add(onto, residual, alpha=multiplier, out=out)


class _Multipliers:
    """Numbers, or small tensors that broadcast over a residual's channels.

    Rows and mask are joined once for each grid, and copied to the device once: every copy makes the CPU wait.
    """

    def __init__(self, scales: Scales) -> None:
        self._scales = scales
        self._rows: Tensor | None = None
        self._mask_rows: Tensor | None = None
        self._grids: dict[tuple[int, ...], Tensor] = {}

    def __call__(self, residual: Tensor, factor: float) -> Tensor | float:
        if factor == 0 or (self._scales.rows is None and self._scales.mask is None):
            return factor
        grid = tuple(residual.shape[2:]) if residual.dim() == 4 else tuple(residual.shape[1:2])
        if grid not in self._grids:
            self._grids[grid] = self._join(residual)
        return self._grids[grid] if factor == 1 else self._grids[grid] * factor

    def _join(self, residual: Tensor) -> Tensor:
        scales, joined = self._scales, residual.new_ones(())
        if scales.mask is not None:
            joined = scales.mask.for_residual(residual, scales.latent_size)
            if joined.shape[0] > 1:
                if self._mask_rows is None:
                    self._mask_rows = torch.tensor(scales.mask_rows, device=residual.device)
                joined = joined.index_select(0, self._mask_rows)
        if scales.rows is not None:
            if self._rows is None:
                self._rows = residual.new_tensor(scales.rows)
            joined = joined * self._rows.view(-1, *(1,) * (residual.dim() - 1))
        return joined


def spread_rows(residuals: Residuals, active: Sequence[int], row_count: int) -> Residuals:
    """Put residuals of the `active` rows alone back into a batch of `row_count`; zeros elsewhere."""
    if not residuals.count:
        return residuals
    index = torch.tensor(active, dtype=torch.int64).to(residuals.flat[0].device)
    return residuals.map(lambda t: t.new_zeros(row_count, *t.shape[1:]).index_copy_(0, index, t))
