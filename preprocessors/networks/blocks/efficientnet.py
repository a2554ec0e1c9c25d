"""EfficientNet-B5 as TensorFlow trained it (Tan and Le, arXiv 1905.11946), with timm's and geffnet's weight names."""

import torch
from torch import Tensor, nn

from ..official import Ops
from .padding import pad_same

STAGES = ((3, 24, 3, 1), (5, 40, 3, 2), (5, 64, 5, 2), (7, 128, 3, 2), (7, 176, 5, 1), (9, 304, 5, 2), (3, 512, 3, 1))
"""(blocks, channels, kernel, stride) of each stage."""

STEM, HEAD = 48, 2048
UNUSED = "encoder.original_model.bn2."
"""Weights of the files of normals that nobody reads: the normalization after the last convolution."""
_EXPANSION = 6
_EPSILON = 1e-3


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_EPSILON)


class _SqueezeExcite(nn.Module):
    """A gate for each channel, from the mean of all channels."""

    def __init__(self, channels: int, reduced: int, ops: Ops) -> None:
        super().__init__()
        self.conv_reduce = ops.Conv2d(channels, reduced, 1)
        self.conv_expand = ops.Conv2d(reduced, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = nn.functional.silu(self.conv_reduce(x.mean((2, 3), keepdim=True)))
        return x * self.conv_expand(gate).sigmoid()


class _Separable(nn.Module):
    """A block of the first stage: depthwise, gate, pointwise."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int, ops: Ops) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.shortcut = stride == 1 and channels == width
        self.conv_dw = ops.Conv2d(channels, channels, kernel, stride=stride, groups=channels, bias=False)
        self.bn1 = _norm(channels)
        self.se = _SqueezeExcite(channels, channels // 4, ops)
        self.conv_pw = ops.Conv2d(channels, width, 1, bias=False)
        self.bn2 = _norm(width)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.silu(self.bn1(self.conv_dw(pad_same(x, self.kernel, self.stride))))
        y = self.bn2(self.conv_pw(self.se(y)))
        return x + y if self.shortcut else y


class _Inverted(nn.Module):
    """A block of the other stages: expand, depthwise, gate, project."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int, ops: Ops) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.shortcut = stride == 1 and channels == width
        wide = _EXPANSION * channels
        self.conv_pw = ops.Conv2d(channels, wide, 1, bias=False)
        self.bn1 = _norm(wide)
        self.conv_dw = ops.Conv2d(wide, wide, kernel, stride=stride, groups=wide, bias=False)
        self.bn2 = _norm(wide)
        self.se = _SqueezeExcite(wide, channels // 4, ops)
        self.conv_pwl = ops.Conv2d(wide, width, 1, bias=False)
        self.bn3 = _norm(width)

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.silu(self.bn1(self.conv_pw(x)))
        y = nn.functional.silu(self.bn2(self.conv_dw(pad_same(y, self.kernel, self.stride))))
        y = self.bn3(self.conv_pwl(self.se(y)))
        return x + y if self.shortcut else y


class EfficientNet(nn.Module):
    """The trunk up to the last convolution, whose normalization nobody reads."""

    def __init__(self, ops: Ops) -> None:
        super().__init__()
        self.conv_stem = ops.Conv2d(3, STEM, 3, stride=2, bias=False)
        self.bn1 = _norm(STEM)
        channels, stages = STEM, []
        for index, (count, width, kernel, stride) in enumerate(STAGES):
            kind = _Separable if index == 0 else _Inverted
            blocks = []
            for block in range(count):
                blocks.append(kind(channels, width, kernel, stride if block == 0 else 1, ops))
                channels = width
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.ModuleList(stages)
        self.conv_head = ops.Conv2d(channels, HEAD, 1, bias=False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> the maps of the seven stages, and the last convolution's."""
        x = nn.functional.silu(self.bn1(self.conv_stem(pad_same(x, 3, 2))))
        maps: list[torch.Tensor] = []
        for stage in self.blocks:
            x = stage(x)
            maps.append(x)
        return [*maps, self.conv_head(x)]


class Encoder(nn.Module):
    """The trunk under the name that the networks of normals store it under."""

    def __init__(self, ops: Ops) -> None:
        super().__init__()
        self.original_model = EfficientNet(ops)

    def forward(self, x: Tensor) -> list[Tensor]:
        """The same maps as `EfficientNet`."""
        return self.original_model(x)
