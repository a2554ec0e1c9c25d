"""Blocks shared by the detectors and backbones of the CSPDarknet family (Ge et al., "YOLOX", arXiv 2107.08430)."""

import torch
from torch import Tensor, nn

from ..official import Ops

_POOLS = (5, 9, 13)


class ConvSiLU(nn.Module):
    """A convolution that keeps the size, or divides it by the stride, and SiLU: x times its sigmoid.

    Its name `conv` is that of the official weights, whose batch normalization is multiplied into it.
    """

    def __init__(self, channels: int, width: int, kernel: int, ops: Ops, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = ops.Conv2d(channels, width, kernel, stride=stride, padding=kernel // 2, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.silu(self.conv(x), inplace=True)


class PyramidPooling(nn.Module):
    """Each point beside the largest values of three neighborhoods of it, 5, 9 and 13 points wide."""

    def __init__(self, channels: int, width: int, ops: Ops) -> None:
        super().__init__()
        self.conv1 = ConvSiLU(channels, channels // 2, 1, ops)
        self.conv2 = ConvSiLU(channels // 2 * (len(_POOLS) + 1), width, 1, ops)

    def forward(self, x: Tensor) -> Tensor:
        maps = [self.conv1(x)]
        # The largest of 9 points is the largest of 5 points' largest: each pool goes on from the one before.
        for _ in _POOLS:
            maps.append(nn.functional.max_pool2d(maps[-1], _POOLS[0], stride=1, padding=_POOLS[0] // 2))
        return self.conv2(torch.cat(maps, dim=1))
