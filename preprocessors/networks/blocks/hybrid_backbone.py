"""The ResNetV2-50 before MiDaS's transformer, with the weight names of timm's `vit_base_resnet50_384`.

Its convolutions work with standardised weights (Qiao et al., arXiv 1903.10520). Standardising depends on the weights
alone, so it is done once, when they are loaded.
"""

import torch
from torch import Tensor, nn

from ..official import Ops
from .padding import pad_same

_GROUPS = 32
_EPSILON = 1e-8
STAGES = ((256, 3), (512, 4), (1024, 9))
"""(channels, blocks) of each stage."""


def standardise(weight: Tensor) -> Tensor:
    """Every output channel's weights with mean 0 and variance 1: (O, I, H, W) -> the same shape and type."""
    flat = weight.float().flatten(1)
    variance, mean = torch.var_mean(flat, dim=1, keepdim=True, correction=0)
    return ((flat - mean) * torch.rsqrt(variance + _EPSILON)).view_as(weight).to(weight.dtype)


class _ConvolutionNorm(nn.Module):
    """A convolution with its group normalization, under the names `conv` and `norm`."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int, ops: Ops) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv = ops.Conv2d(channels, width, kernel, stride=stride, bias=False)
        self.norm = ops.GroupNorm(_GROUPS, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(pad_same(x, self.kernel, self.stride)))


class _Bottleneck(nn.Module):
    def __init__(self, channels: int, width: int, stride: int, first: bool, ops: Ops) -> None:
        super().__init__()
        self.stride = stride
        self.downsample = _ConvolutionNorm(channels, width, 1, stride, ops) if first else nn.Identity()
        self.conv1 = ops.Conv2d(channels, width // 4, 1, bias=False)
        self.norm1 = ops.GroupNorm(_GROUPS, width // 4)
        self.conv2 = ops.Conv2d(width // 4, width // 4, 3, stride=stride, bias=False)
        self.norm2 = ops.GroupNorm(_GROUPS, width // 4)
        self.conv3 = ops.Conv2d(width // 4, width, 1, bias=False)
        self.norm3 = ops.GroupNorm(_GROUPS, width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(self.conv1(x)).relu_()
        y = self.norm2(self.conv2(pad_same(y, 3, self.stride))).relu_()
        return (self.norm3(self.conv3(y)) + self.downsample(x)).relu_()


class _Stage(nn.Module):
    def __init__(self, channels: int, width: int, count: int, stride: int, ops: Ops) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            _Bottleneck(channels, width, stride, True, ops),
            *(_Bottleneck(width, width, 1, False, ops) for _ in range(count - 1)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x)


class HybridBackbone(nn.Module):
    """(B, 3, H, W) -> three maps of 256, 512 and 1024 channels at 1/4, 1/8 and 1/16 of the size."""

    def __init__(self, ops: Ops) -> None:
        super().__init__()
        self.stem = _ConvolutionNorm(3, 64, 7, 2, ops)
        channels = (64, *(width for width, _ in STAGES))
        self.stages = nn.ModuleList(
            _Stage(channels[index], width, count, 1 if index == 0 else 2, ops)
            for index, (width, count) in enumerate(STAGES)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x).relu_()
        # Zeros are as good as minus infinity around what has passed a ReLU.
        x = nn.functional.max_pool2d(pad_same(x, 3, 2), 3, stride=2)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps
