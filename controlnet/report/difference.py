"""Where and how much two pictures, or two latents, differ."""

import math
from dataclasses import dataclass

from torch import Tensor

LATENT_CELL = 8
"""Pixels to a point of a latent in the picture of a difference."""


@dataclass(frozen=True)
class Difference:
    """picture: (B, H, W, 3), 0 where nothing differs, 1 where it differs most. mean, greatest: absolute, of all values.

    psnr: in dB, of the range 0..1 for images and of the first's own range for latents; infinite when equal.
    """

    picture: Tensor
    mean: float
    greatest: float
    psnr: float

    def __str__(self) -> str:
        ratio = "equal" if math.isinf(self.psnr) else f"PSNR {self.psnr:.1f} dB"
        return f"{ratio}, mean difference {self.mean:.4g}, greatest {self.greatest:.4g}"


def image_difference(first: Tensor, second: Tensor, gain: float = 0.0) -> Difference:
    """(B, H, W, C) in 0..1 each. gain: factor on the picture; 0: the greatest difference becomes white.

    One picture is compared with every one of a batch. Raises ValueError for other sizes, with both of them.
    """
    change = _change(first[..., :3], second[..., :3])
    return _difference(change, change.expand(*change.shape[:3], 3), 1.0, gain)


def latent_difference(first: Tensor, second: Tensor, gain: float = 0.0) -> Difference:
    """(B, C, H, W) each; the picture shows the L2 norm over the channels, enlarged to pixels.

    gain: as for images. Raises ValueError for other sizes.
    """
    change = _change(first, second)
    picture = change.norm(dim=1).repeat_interleave(LATENT_CELL, 1).repeat_interleave(LATENT_CELL, 2)
    return _difference(change, picture[..., None].expand(-1, -1, -1, 3), float(first.max() - first.min()), gain)


def _change(first: Tensor, second: Tensor) -> Tensor:
    fits = first.dim() == second.dim() == 4 and first.shape[1:] == second.shape[1:]
    if not fits or (first.shape[0] != second.shape[0] and 1 not in (first.shape[0], second.shape[0])):
        raise ValueError(
            f"Only pictures of one size and number can be compared; these are {tuple(first.shape)} and "
            f"{tuple(second.shape)}. Resize one, or take as many of both."
        )
    return (first.float() - second.float().to(first.device)).abs()


def _difference(change: Tensor, picture: Tensor, span: float, gain: float) -> Difference:
    error = float(change.square().mean())
    psnr = math.inf if error == 0 else 10 * math.log10(max(span, 1e-12) ** 2 / error)
    factor = gain or 1 / max(float(picture.max()), 1e-12)
    shown = (picture * factor).clamp(0, 1).contiguous()
    return Difference(shown, float(change.mean()), float(change.max()), psnr)
