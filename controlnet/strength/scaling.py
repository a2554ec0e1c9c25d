"""Residuals times all factors plus what other controls gave: one pass over each tensor, however many factors."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..constants import Constants, is_range
from ..hint.region import Region
from ..residuals import Residuals
from .mask import Mask


@dataclass(frozen=True)
class Scales:
    """Factors for the residuals of one step; None is a factor of one.

    strength: for all. blocks: one for each residual, in order of depth. rows: one for
    each row of the batch. mask: laid over the picture; `mask_rows` says which of its pictures each row takes, and
    `latent_size` is height and width of the latent. constants: of the sampling, so that its steps share them.
    """

    strength: float = 1.0
    blocks: tuple[float, ...] | None = None
    rows: tuple[float, ...] | None = None
    mask: Mask | None = None
    mask_rows: tuple[int, ...] = ()
    latent_size: tuple[int, int] = (0, 0)
    constants: Constants = field(default_factory=Constants, compare=False)

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
    multipliers = Multipliers(scales)
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


class Multipliers:
    """Numbers, or small tensors that broadcast over a residual's channels, for the factors of one step.

    Rows and mask are joined once for each grid.
    """

    def __init__(self, scales: Scales) -> None:
        self._scales = scales
        self._grids: dict[tuple[int, ...], Tensor] = {}

    def __call__(self, residual: Tensor, factor: float) -> Tensor | float:
        """The factor for a residual, of which only shape, dtype and device count.

        residual: (rows, C, h, w) or (rows, tokens, C). factor: the strength times the residual's block weight.
        """
        if factor == 0 or (self._scales.rows is None and self._scales.mask is None):
            return factor
        grid = tuple(residual.shape[2:]) if residual.dim() == 4 else tuple(residual.shape[1:2])
        if grid not in self._grids:
            self._grids[grid] = self._join(residual)
        return self._grids[grid] if factor == 1 else self._grids[grid] * factor

    def _join(self, residual: Tensor) -> Tensor:
        scales, mask, rows = self._scales, None, None
        if scales.mask is not None:
            mask = scales.mask.for_residual(residual, scales.latent_size)
            if mask.shape[0] > 1:
                mask = scales.constants.rows(mask, scales.mask_rows)
        if scales.rows is not None:
            factors = scales.constants.get(scales.rows, residual.dtype, residual.device)
            rows = factors.view(-1, *(1,) * (residual.dim() - 1))
        factors = [factor for factor in (mask, rows) if factor is not None]
        return factors[0] if len(factors) == 1 else factors[0] * factors[1]


def spread_rows(
    residuals: Residuals, active: Sequence[int], row_count: int, constants: Constants | None = None
) -> Residuals:
    """Put residuals of the `active` rows alone back into a batch of `row_count`; zeros elsewhere.

    constants: of the sampling, so that its steps share them.
    """

    def spread(residual: Tensor) -> Tensor:
        rows = residual.new_zeros(row_count, *residual.shape[1:])
        if is_range(active):
            rows[active[0] : active[-1] + 1] = residual
            return rows
        return rows.index_copy_(0, (constants or Constants()).get(active, torch.int64, residual.device), residual)

    return residuals.map(spread)
