"""M-LSD, mobile line segment detection: straight lines, in its large and its tiny size.

Sources: Gu et al., "Towards Light-weight and Real-time Line Segment Detection" (arXiv 2106.00186); layer names of
`mlsd_large_512_fp32.pth` and `mlsd_tiny_512_fp32.pth` in the hub repositories lllyasviel/Annotators and
lllyasviel/ControlNet.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .blocks.batch_norm import fold_batch_norms
from .official import Ops, assemble, channels_last, unwrap

_CENTRE = 7
"""The map of centers among the 16; the four after it lead from a center to the ends of its line."""


@dataclass(frozen=True)
class BackboneLayout:
    """The dimensions in which the sizes of the network differ.

    stages: (channels, number of blocks, stride of the first) of the backbone.
    taken: the backbone's blocks whose features go to the decoder, fine to coarse.
    first_decoder: the number in the name of the first decoder block.
    joins: output channels of each join of the decoder, from coarse to fine, for both of its inputs.
    """

    stages: tuple[tuple[int, int, int], ...]
    taken: tuple[int, ...]
    first_decoder: int
    joins: tuple[int, ...]


_STAGES = ((16, 1, 1), (24, 2, 2), (32, 3, 2), (64, 4, 2))
LARGE = BackboneLayout((*_STAGES, (96, 3, 1)), (1, 3, 6, 10, 13), 15, (64, 64, 64, 64))
TINY = BackboneLayout(_STAGES, (3, 6, 10), 12, (64, 32))


class ConvolutionReLU6(nn.Sequential):
    """A convolution with ReLU6. A stride pads at the right and bottom only, as TensorFlow does."""

    def __init__(self, channels: int, width: int, kernel: int, ops: Ops, stride: int = 1, groups: int = 1) -> None:
        padding = 0 if stride == 2 else kernel // 2
        super().__init__(ops.Conv2d(channels, width, kernel, stride, padding, groups=groups))
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        if self.stride == 2:
            input = nn.functional.pad(input, (0, 1, 0, 1))
        return nn.functional.relu6(self[0](input), inplace=True)


class InvertedResidual(nn.Module):
    """A block of MobileNetV2: wide, depthwise, narrow again."""

    def __init__(self, channels: int, width: int, stride: int, expansion: int, ops: Ops) -> None:
        super().__init__()
        hidden = channels * expansion
        widen = [ConvolutionReLU6(channels, hidden, 1, ops)] if expansion > 1 else []
        depthwise = ConvolutionReLU6(hidden, hidden, 3, ops, stride, groups=hidden)
        self.conv = nn.Sequential(*widen, depthwise, ops.Conv2d(hidden, width, 1))
        self.keeps_shape = stride == 1 and channels == width

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).add_(x) if self.keeps_shape else self.conv(x)


class Backbone(nn.Module):
    """MobileNetV2 for four channels."""

    def __init__(self, layout: BackboneLayout, ops: Ops) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvolutionReLU6(4, 32, 3, ops, stride=2)]
        self.widths, channels = [32], 32
        for stage, (width, blocks, stride) in enumerate(layout.stages):
            for block in range(blocks):
                layers.append(InvertedResidual(channels, width, 1 if block else stride, 6 if stage else 1, ops))
                self.widths.append(width)
                channels = width
        self.features = nn.Sequential(*layers)


class Join(nn.Module):
    """Fine and coarse features side by side, the coarse ones doubled in size first where they are smaller."""

    def __init__(self, fine: int, coarse: int, width: int, ops: Ops) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(ops.Conv2d(coarse, width, 1))
        self.conv2 = nn.Sequential(ops.Conv2d(fine, width, 1))

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        coarse, fine = self.conv1(coarse).relu_(), self.conv2(fine).relu_()
        if coarse.shape != fine.shape:
            coarse = nn.functional.interpolate(coarse, fine.shape[2:], mode="bilinear", align_corners=True)
        return torch.cat([fine, coarse], dim=1)


class Refinement(nn.Module):
    """Two 3x3 convolutions, the first one added to its input."""

    def __init__(self, channels: int, width: int, ops: Ops) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(ops.Conv2d(channels, channels, 3, padding=1))
        self.conv2 = nn.Sequential(ops.Conv2d(channels, width, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x).relu_().add_(x)).relu_()


class Head(nn.Module):
    """The 16 maps; the first convolution looks far around a pixel."""

    def __init__(self, channels: int, ops: Ops) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(ops.Conv2d(channels, channels, 3, padding=5, dilation=5))
        self.conv2 = nn.Sequential(ops.Conv2d(channels, channels, 3, padding=1))
        self.conv3 = ops.Conv2d(channels, 16, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(self.conv2(self.conv1(x).relu_()).relu_())


class MLSD(nn.Module):
    """A backbone and a decoder to half the size of the picture."""

    def __init__(self, layout: BackboneLayout, ops: Ops = nn) -> None:
        super().__init__()
        self.layout = layout
        self.backbone = Backbone(layout, ops)
        widths = [self.backbone.widths[index] for index in layout.taken]
        channels, number = widths[-1], layout.first_decoder
        for fine, width in zip(reversed(widths[:-1]), layout.joins, strict=True):
            self.add_module(f"block{number}", Join(fine, channels, width, ops))
            self.add_module(f"block{number + 1}", Refinement(2 * width, 64, ops))
            channels, number = 64, number + 2
        self.add_module(f"block{number}", Head(channels, ops))

    def forward(self, images: Tensor) -> Tensor:
        """RGB (B, 3, H, W) in 0..1, H and W multiples of 16 -> (B, 5, H/2, W/2) float32.

        Channel 0 is the logit of a line's center; 1 to 4 lead from there to its ends, x0, y0, x1, y1 in map pixels.
        """
        x = images * 2 - 1
        # The network was trained with a fourth channel of ones on the scale 0..255.
        x = nn.functional.pad(x, (0, 0, 0, 0, 0, 1), value=1 / 127.5 - 1)
        features = []
        for index, layer in enumerate(self.backbone.features):
            x = layer(x)
            if index in self.layout.taken:
                features.append(x)
        x, number = features.pop(), self.layout.first_decoder
        while features:
            x = self.get_submodule(f"block{number}")(features.pop(), x)
            x = self.get_submodule(f"block{number + 1}")(x)
            number += 2
        maps = self.get_submodule(f"block{number}")(x)[:, _CENTRE : _CENTRE + 5].float()
        size = (images.shape[2] // 2, images.shape[3] // 2)
        if maps.shape[2:] != size:
            maps = nn.functional.interpolate(maps, size, mode="bilinear", align_corners=True)
        return maps


def _build(layout: BackboneLayout, state_dict: Mapping[str, Any], ops: Ops) -> nn.Module:
    return channels_last(assemble(lambda: MLSD(layout, ops), fold_batch_norms(unwrap(state_dict))))


def build_large(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of `mlsd_large_512_fp32.pth`."""
    return _build(LARGE, state_dict, ops)


def build_tiny(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of `mlsd_tiny_512_fp32.pth`."""
    return _build(TINY, state_dict, ops)
