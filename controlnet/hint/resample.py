"""Resampling a hint so that edges, binary maps and segmentation colors stay what they are."""

from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, adaptive_max_pool2d, interpolate, max_pool2d

Resampling = Literal["nearest", "edges", "lanczos"]
RESAMPLINGS: tuple[Resampling, ...] = get_args(Resampling)

Size = tuple[int, int]
"""Height and width in pixels."""

Content = Literal["lines", "binary", "colors", "smooth"]

FEW_COLORS = 200
"""Below this a hint counts as areas of plain colors (sd-webui `high_quality_resize`)."""

LEAST_SHARE = 1e-3
"""A smaller part of a marked pixel in a result is rounding."""

DARK, BRIGHT = 16, 240
"""A map of two colors is binary if one is darker and the other brighter than these, of 255 (sd-webui)."""


def resample(hint: Tensor, size: Size, resampling: Resampling) -> Tensor:
    """(B, C, H, W) -> (B, C, *size).

    - nearest: the nearest pixel, ComfyUI's way; sharp, but drops thin lines when it shrinks.
    - edges: by what each picture is (`content_of`): see `resample_by_content`.
    - lanczos: Pillow's on 8-bit pictures, diffusers' way; for 1, 3 or 4 channels in 0..1.

    Values outside of 0..1 are kept: see `_marked` and `_of_other_range`.
    """
    if tuple(hint.shape[2:]) == size:
        return hint
    if resampling == "nearest":
        return interpolate(hint, size, mode="nearest-exact")
    return torch.cat([_picture(picture[None], size, resampling) for picture in hint])


def _picture(picture: Tensor, size: Size, resampling: Resampling) -> Tensor:
    """One picture, (1, C, H, W) -> (1, C, *size), by "edges" or "lanczos"."""
    outside = picture[(picture < 0) | (picture > 1)]
    if not outside.numel():
        return _lanczos(picture, size) if resampling == "lanczos" else resample_by_content(picture, size)
    if outside.min() == outside.max():
        return _marked(picture, outside[0], size, resampling)
    return _of_other_range(picture, size, resampling)


def _marked(picture: Tensor, mark: Tensor, size: Size, resampling: Resampling) -> Tensor:
    """A picture in 0..1 with one value outside, as -1 for what to inpaint: nothing is mixed with what that marks.

    Where marked pixels would have had a part in a result, it is the nearest pixel.
    """
    marked = (picture == mark).any(dim=1, keepdim=True).to(picture.dtype)
    share = _lanczos_floats(marked, size) if resampling == "lanczos" else _shrink_then_grow(marked, size)
    nearest = interpolate(picture, size, mode="nearest-exact")
    return torch.where(share.abs() > LEAST_SHARE, nearest, _picture(picture.clamp(0, 1), size, resampling))


def _of_other_range(picture: Tensor, size: Size, resampling: Resampling) -> Tensor:
    """A map of another range than 0..1, such as distances: resampled in its own range, without new extremes."""
    low, high = picture.min(), picture.max()
    if resampling == "lanczos":
        return _lanczos_floats(picture, size).clamp(low, high)
    resampled = resample_by_content((picture - low) / (high - low), size) * (high - low) + low
    return resampled.clamp(low, high)


def resample_by_content(picture: Tensor, size: Size) -> Tensor:
    """(1, C, H, W) -> (1, C, *size).

    Lines one pixel wide stay unbroken and one pixel wide; binary maps stay binary (Otsu's threshold); plain colors
    are not mixed; all else is averaged where it shrinks and interpolated by cubics where it grows.
    """
    content = content_of(picture)
    if content == "colors":
        return interpolate(picture, size, mode="nearest-exact")
    if content == "smooth":
        return _shrink_then_grow(picture, size).clamp(picture.min(), picture.max())
    drawn = _scaled_lines(picture, size) if content == "lines" else _scaled_areas(picture, size)
    low, high = picture.min(), picture.max()
    return torch.where(torch.from_numpy(drawn).to(picture.device), high, low).expand(1, picture.shape[1], *size)


def _scaled_lines(picture: Tensor, size: Size) -> np.ndarray:
    """Largest value of each cell where it shrinks, or a line would fade; where it grows, also all of the pixel that a
    line went through, or the cubics would break diagonals. Then thinned to one pixel (Zhang and Suen 1984).
    """
    from skimage.morphology import skeletonize

    shrunk = adaptive_max_pool2d(picture, _smaller(picture, size))
    grown = interpolate(shrunk, size, mode="bicubic", align_corners=False)
    return skeletonize(_threshold(grown.maximum(interpolate(shrunk, size, mode="nearest-exact"))))


def _scaled_areas(picture: Tensor, size: Size) -> np.ndarray:
    return _threshold(_shrink_then_grow(picture, size))


def content_of(picture: Tensor) -> Content:
    """The kind of map that a picture (1, C, H, W) in 0..1 is, by its colors in 8 bits.

    Two colors, one dark and one bright: "lines" if a 3x3 opening takes away more than half of what is bright,
    else "binary". Fewer than 200: "colors". Else "smooth".
    """
    levels = (picture.clamp(0, 1) * 255).round().to(torch.int64)
    packed = torch.zeros_like(levels[0, 0])
    for channel in levels[0]:
        packed = packed * 256 + channel
    colors = packed.unique().numel()
    if colors == 2 and levels.min() < DARK and levels.max() > BRIGHT:
        bright = (levels > 127).float().amax(dim=1, keepdim=True)
        opened = max_pool2d(-max_pool2d(-bright, 3, 1, 1), 3, 1, 1)
        return "lines" if 2 * (opened < bright).sum() > bright.sum() else "binary"
    return "colors" if colors < FEW_COLORS else "smooth"


def _smaller(picture: Tensor, size: Size) -> Size:
    return min(picture.shape[2], size[0]), min(picture.shape[3], size[1])


def _shrink_then_grow(picture: Tensor, size: Size) -> Tensor:
    shrunk = adaptive_avg_pool2d(picture, _smaller(picture, size))
    return interpolate(shrunk, size, mode="bicubic", align_corners=False)


def _threshold(picture: Tensor) -> np.ndarray:
    """(1, C, H, W) -> (H, W): the pixels above Otsu's threshold, booleans."""
    import cv2

    levels = (picture[0].mean(dim=0).clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return cv2.threshold(levels, 0, 255, cv2.THRESH_OTSU)[1] > 0


def _lanczos(picture: Tensor, size: Size) -> Tensor:
    from PIL import Image

    levels = (picture[0].clamp(0, 1) * 255).round().to(torch.uint8).movedim(0, -1).cpu().numpy()
    image = Image.fromarray(levels.squeeze(-1) if levels.shape[-1] == 1 else levels)
    resized = np.asarray(image.resize((size[1], size[0]), Image.Resampling.LANCZOS), dtype=np.float32) / 255
    tensor = torch.from_numpy(resized.reshape(*size, -1)).movedim(-1, 0)[None]
    return tensor.to(picture.device, picture.dtype)


def _lanczos_floats(picture: Tensor, size: Size) -> Tensor:
    """As `_lanczos`, for values of any range and without rounding to 8 bits."""
    from PIL import Image

    planes = picture[0].float().cpu().numpy()
    resized = [Image.fromarray(plane).resize((size[1], size[0]), Image.Resampling.LANCZOS) for plane in planes]
    stacked = torch.from_numpy(np.stack([np.asarray(plane) for plane in resized]))[None]
    return stacked.to(picture.device, picture.dtype)
