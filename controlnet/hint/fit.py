"""How a hint of another size or shape meets the picture."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from .resample import Resampling, Size, resample

FitMode = Literal["crop", "stretch", "fit inside"]
FIT_MODES: tuple[FitMode, ...] = get_args(FitMode)


@dataclass(frozen=True)
class Fit:
    """mode: crop fills the picture and cuts off what stands over at two sides, evenly (ComfyUI's own way); stretch
    fills it with all of the hint, out of shape; fit inside keeps all of it in shape and fills the border with the
    hint's own border color.
    """

    mode: FitMode = "crop"
    resampling: Resampling = "nearest"


def fit_hint(hint: Tensor, size: Size, fit: Fit) -> Tensor:
    """(B, C, H, W) -> (B, C, *size). The default `Fit` equals ComfyUI's `common_upscale(..., "center")`."""
    if fit.mode == "fit inside":
        return _fit_inside(hint, size, fit.resampling)
    if fit.mode == "crop":
        top, left = crop_margins((hint.shape[2], hint.shape[3]), size)
        hint = hint[:, :, top : hint.shape[2] - top, left : hint.shape[3] - left]
    return resample(hint, size, fit.resampling)


def crop_margins(hint: Size, picture: Size) -> Size:
    """Rows cut off at top and bottom each, and columns at left and right each, to get the picture's shape.

    ComfyUI `comfy.utils.common_upscale`, rounding included, but of a very long hint at least a line is left.
    """
    height, width = hint
    aspect, wanted = width / height, picture[1] / picture[0]
    if aspect > wanted:
        return 0, min(round((width - width * (wanted / aspect)) / 2), (width - 1) // 2)
    if aspect < wanted:
        return min(round((height - height * (aspect / wanted)) / 2), (height - 1) // 2), 0
    return 0, 0


def _fit_inside(hint: Tensor, size: Size, resampling: Resampling) -> Tensor:
    height, width = hint.shape[2:]
    scale = min(size[0] / height, size[1] / width)
    inner = (_within(height * scale, size[0]), _within(width * scale, size[1]))
    top, left = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas = border_color(hint)[:, :, None, None].repeat(1, 1, *size)
    canvas[:, :, top : top + inner[0], left : left + inner[1]] = resample(hint, inner, resampling)
    return canvas


def _within(side: float, limit: int) -> int:
    return min(max(round(side), 1), limit)


def border_color(hint: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C): the median of the four borders of each picture and channel (sd-webui)."""
    borders = (hint[:, :, 0], hint[:, :, -1], hint[:, :, :, 0], hint[:, :, :, -1])
    return torch.cat(borders, dim=-1).float().quantile(0.5, dim=-1).to(hint.dtype)


def pixel_perfect_resolution(image: Size, picture: Size, mode: FitMode = "crop") -> int:
    """Shorter side at which to run a preprocessor, so that its pixels become the picture's one to one.

    image: of the photo the hint is made from. picture: to be generated. `k0 = H'/H, k1 = W'/W`: the larger of them
    times min(H, W), the smaller for "fit inside" (sd-webui `pixel_perfect_resolution`).
    """
    scales = picture[0] / image[0], picture[1] / image[1]
    scale = min(scales) if mode == "fit inside" else max(scales)
    return round(scale * min(image))
