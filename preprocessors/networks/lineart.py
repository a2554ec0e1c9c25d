"""The line drawing generator: realistic (`sk_model.pth`) and coarse (`sk_model2.pth`).

Sources: Chan, Durand and Isola, "Learning to generate line drawings that convey geometry and semantics"
(arXiv 2203.12691); layer names of the files in the hub repository lllyasviel/Annotators.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .blocks.instance_norm import InstanceNorm
from .blocks.strips import run_in_strips
from .official import Ops, assemble, channels_last, unwrap

WIDTHS = (64, 128, 256)
RESIDUAL_BLOCKS = 3
LAST_KERNEL = 7
_LAST = "model4.1"

LARGEST_PIECE = 1 << 21
"""Pixels of a picture that is worked on whole. A larger one goes in strips, for a third more time: only maps of a
quarter of its size are held whole then, 64 bytes for each of its pixels."""
ROWS = 256
"""Rows of the image in a strip."""
HALO, COARSE_HALO = 8, 4
"""The layers before the residual blocks see 6 rows around each, those after them 3 of the maps of a quarter."""


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, each normalized over the picture, added to their input."""

    def __init__(self, width: int, ops: Ops) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            ops.Conv2d(width, width, 3),
            InstanceNorm(),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            ops.Conv2d(width, width, 3),
            InstanceNorm(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_block(x).add_(x)


class TapSum(nn.Module):
    """The second half of a convolution to one channel: the maps of its taps, each moved to its place, summed up."""

    def forward(self, taps: Tensor) -> Tensor:
        """(B, 49, H, W) -> (B, 1, H - 6, W - 6)."""
        rim = LAST_KERNEL - 1
        size = (taps.shape[2] + rim, taps.shape[3] + rim)
        # A matrix is transposed in blocks, much faster than an image of any layout.
        pixels = taps.movedim(1, -1).flatten(1, 2)
        maps = torch.stack([picture.t().contiguous() for picture in pixels])
        return nn.functional.fold(maps, size, LAST_KERNEL)[:, :, rim:-rim, rim:-rim]


def split_last_kernel(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The official weights with the last 7x7 kernel as a 1x1 kernel of 49 taps, for `TapSum`.

    A convolution to a single channel uses a processor badly; the same products as a matrix product take a tenth of
    the time. Raises ValueError where that kernel is missing.
    """
    split = dict(state_dict)
    try:
        kernel, bias = state_dict[f"{_LAST}.weight"], state_dict[f"{_LAST}.bias"]
    except KeyError as error:
        raise ValueError(f"The file does not fit LineDrawing: {error} is missing.") from error
    split[f"{_LAST}.weight"] = kernel.flip(2, 3).flatten(2).permute(2, 1, 0)[..., None].contiguous()
    split[f"{_LAST}.bias"] = nn.functional.pad(bias, (0, LAST_KERNEL**2 - 1))
    return split


class LineDrawing(nn.Module):
    """An encoder, residual blocks and a decoder."""

    def __init__(self, ops: Ops = nn) -> None:
        super().__init__()
        first, second, third = WIDTHS
        self.model0 = nn.Sequential(nn.ReflectionPad2d(3), ops.Conv2d(3, first, 7), *_normalized(first))
        self.model1 = nn.Sequential(
            ops.Conv2d(first, second, 3, stride=2, padding=1),
            *_normalized(second),
            ops.Conv2d(second, third, 3, stride=2, padding=1),
            *_normalized(third),
        )
        self.model2 = nn.Sequential(*(ResidualBlock(third, ops) for _ in range(RESIDUAL_BLOCKS)))
        self.model3 = nn.Sequential(
            ops.ConvTranspose2d(third, second, 3, stride=2, padding=1, output_padding=1),
            *_normalized(second),
            ops.ConvTranspose2d(second, first, 3, stride=2, padding=1, output_padding=1),
            *_normalized(first),
        )
        self.model4 = nn.Sequential(nn.ReflectionPad2d(3), ops.Conv2d(first, LAST_KERNEL**2, 1), TapSum())

    def forward(self, images: Tensor) -> Tensor:
        """RGB (B, 3, H, W) in 0..1, H and W multiples of 4 -> white lines on black, (B, 1, H, W) float32 in 0..1."""
        coarse, fine = (*self.model0, *self.model1), (*self.model3, *self.model4)
        if images.shape[2] * images.shape[3] <= LARGEST_PIECE:
            lines = nn.Sequential(*coarse, *self.model2, *fine)(images)
        else:
            x = self.model2(run_in_strips(coarse, images, ROWS, HALO))
            lines = run_in_strips(fine, x, ROWS // 4, COARSE_HALO)
        # The network draws black on white, sigmoid(x); its negative is sigmoid(-x).
        return lines.float().neg_().sigmoid_()


def _normalized(width: int) -> tuple[nn.Module, nn.Module]:
    return InstanceNorm(), nn.ReLU(inplace=True)


def build(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of `sk_model.pth` or `sk_model2.pth`."""
    return channels_last(assemble(lambda: LineDrawing(ops), split_last_kernel(unwrap(state_dict))))
