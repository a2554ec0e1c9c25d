"""Where in the picture a control acts."""

import copy
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from ..hint.region import Region

MAX_GRIDS = 16
"""An SD1.5 ControlNet has residuals on 4 grids, a second pass as many again."""

CUT_SCALE = 8
"""Mask points to a latent point where regions are cut out of a mask: as many as the picture has."""

PATCH_SIZES = (2, 1, 4)
"""Latent points to a side of a token: 2 in SD3, Flux and Qwen."""


class Mask:
    """A soft mask over the picture, 1 where the control acts and 0 where it does not.

    values: (H, W) or (B, H, W), 0..1, any size; it is laid over the whole picture. B is 1 or the number of pictures.
    Resized masks are kept, the last few, since every step asks for the same ones.
    Raises ValueError for another shape or values that are not finite.
    """

    def __init__(self, values: Tensor) -> None:
        if values.dim() == 2:
            values = values[None]
        if values.dim() != 3 or 0 in values.shape:
            raise ValueError(
                f"The control's mask has the shape {tuple(values.shape)}; expected (height, width) or "
                "(batch, height, width)."
            )
        if not torch.isfinite(values).all():
            raise ValueError("The control's mask holds NaN or infinite values. Look at the node that made it.")
        self.values = values.detach().float().clamp(0, 1)
        self.is_zero = not bool(self.values.any())
        self.is_one = bool((self.values == 1).all())
        self._grids: OrderedDict[Any, Tensor] = OrderedDict()
        self._cuts: OrderedDict[Any, Mask] = OrderedDict()

    @property
    def pictures(self) -> int:
        return self.values.shape[0]

    def for_residual(self, residual: Tensor, latent_size: tuple[int, int]) -> Tensor:
        """The mask on the grid of a residual, to multiply it with: (B, 1, h, w) or, for tokens, (B, tokens, 1).

        residual: (rows, C, h, w), or (rows, tokens, C) with tokens in reading order, frame after frame.
        latent_size: height and width of the latent. Raises ValueError when the tokens form no such grid.
        """
        if residual.dim() == 4:
            return self._resized((residual.shape[2], residual.shape[3]), residual).unsqueeze(1)
        if residual.dim() != 3:
            raise ValueError(f"A mask cannot act on residuals of the shape {tuple(residual.shape)}.")
        rows, columns, frames = token_grid(residual.shape[1], latent_size)
        return self._resized((rows, columns), residual).flatten(1).repeat(1, frames).unsqueeze(-1)

    def clear(self) -> None:
        """Let go of the resized masks."""
        self._grids.clear()
        self._cuts.clear()

    def cut(self, regions: tuple[Region, ...]) -> "Mask":
        """The parts of all pictures of the mask that lie in the first region, then in the second, and so on.

        regions: of one size, of one latent.
        """
        if regions not in self._cuts:
            height, width = regions[0].whole
            whole = resize_mask(self.values, (height * CUT_SCALE, width * CUT_SCALE))
            self._cuts[regions] = self._part(torch.cat([region.cut(whole, CUT_SCALE) for region in regions]))
            if len(self._cuts) > MAX_GRIDS:
                self._cuts.popitem(last=False)
        return self._cuts[regions]

    def _part(self, values: Tensor) -> "Mask":
        """A mask of checked values, whose numbers nobody looks at: they may be on a GPU, which would have to wait."""
        part = copy.copy(self)
        part.values, part.is_zero, part.is_one = values, False, False
        part._grids, part._cuts = OrderedDict(), OrderedDict()
        return part

    def _resized(self, size: tuple[int, int], like: Tensor) -> Tensor:
        key = (size, like.device, like.dtype)
        if key not in self._grids:
            self._grids[key] = resize_mask(self.values, size).to(like.device, like.dtype)
            if len(self._grids) > MAX_GRIDS:
                self._grids.popitem(last=False)
        return self._grids[key]


def resize_mask(values: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, H, W) -> (B, *size): the mean over each cell, interpolated where a side grows.

    Linear, so that masks that add up to one still do; exactly 0 in cells that the mask does not touch.
    """
    height, width = values.shape[-2:]
    shrunk = (min(size[0], height), min(size[1], width))
    resized = values[:, None]
    if shrunk != (height, width):
        resized = nn.functional.interpolate(resized, shrunk, mode="area")
    if shrunk != size:
        resized = nn.functional.interpolate(resized, size, mode="bilinear", align_corners=False)
    return resized[:, 0]


def token_grid(tokens: int, latent_size: tuple[int, int]) -> tuple[int, int, int]:
    """Rows, columns and frames of a token sequence made from a latent of this height and width.

    Raises ValueError when no patch size in use gives that number.
    """
    for patch in PATCH_SIZES:
        rows, columns = (-(-side // patch) for side in latent_size)
        if tokens % (rows * columns) == 0:
            return rows, columns, tokens // (rows * columns)
    raise ValueError(
        f"The mask cannot be laid over the control: {tokens} tokens are not a grid of a latent of "
        f"{latent_size[1]} x {latent_size[0]}. Leave the mask out for this model."
    )
