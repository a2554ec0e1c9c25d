"""TEED, a tiny and efficient edge detector, and MTEED, the weights of AnyLine for the same network.

Sources: Soria et al., "Tiny and Efficient Model for the Edge Detection Generalization" (arXiv 2308.06468); layer
names of `7_model.pth` (bdsqlsz/qinglong_controlnet-lllite) and `Anyline/MTEED.pth` (TheMistoAI/MistoLine).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .blocks.tiled import TiledNetwork
from .official import Ops, assemble, channels_last, unwrap


def smish(x: Tensor) -> Tensor:
    """x tanh(ln(1 + sigmoid(x))), from Wang et al., "Smish" (2022).

    Written without tanh and ln: tanh(ln(u)) = (u^2 - 1) / (u^2 + 1).
    """
    gate = x.sigmoid()
    gate = gate * (gate + 2)
    return x * gate / (gate + 2)


class Smish(nn.Module):
    """`smish` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return smish(x)


class ConvolutionPair(nn.Module):
    """Two 3x3 convolutions with smish in between. The denser pair pads all at once, before the first one."""

    def __init__(self, channels: int, width: int, ops: Ops, stride: int = 1, pads: tuple[int, int] = (1, 1)) -> None:
        super().__init__()
        self.conv1 = ops.Conv2d(channels, width, 3, stride=stride, padding=pads[0])
        self.conv2 = ops.Conv2d(width, width, 3, padding=pads[1])

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(smish(self.conv1(x)))


class Skip(nn.Module):
    """A 1x1 convolution."""

    def __init__(self, channels: int, width: int, stride: int, ops: Ops) -> None:
        super().__init__()
        self.conv = ops.Conv2d(channels, width, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Enlargement(nn.Module):
    """One map from features, twice the size with every step."""

    def __init__(self, channels: int, steps: int, ops: Ops) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for step in range(steps):
            width = 16 if step < steps - 1 else 1
            kernel = 2**steps
            layers += [
                ops.Conv2d(channels, width, 1),
                Smish(),
                ops.ConvTranspose2d(width, width, kernel, stride=2, padding=kernel // 2 - 1),
            ]
            channels = width
        self.features = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)


class Fusion(nn.Module):
    """One map from three."""

    def __init__(self, ops: Ops) -> None:
        super().__init__()
        self.DWconv1 = ops.Conv2d(3, 24, 3, padding=1, groups=3)
        self.DWconv2 = ops.Conv2d(24, 24, 3, padding=1, groups=24)

    def forward(self, maps: Tensor) -> Tensor:
        first = self.DWconv1(smish(maps))
        return smish((self.DWconv2(smish(first)) + first).sum(dim=1, keepdim=True))


class TEED(TiledNetwork):
    """Three blocks, a map of each, a fourth made of them, and the mean of the four."""

    reach = 32
    """It looks 25 pixels around each; rounded up to the stride of 8, for tiles."""

    def __init__(self, ops: Ops = nn) -> None:
        super().__init__()
        self.block_1 = ConvolutionPair(3, 16, ops, stride=2)
        self.block_2 = ConvolutionPair(16, 32, ops)
        self.dblock_3 = nn.ModuleDict({"denselayer1": ConvolutionPair(32, 48, ops, pads=(2, 0))})
        self.side_1 = Skip(16, 32, 2, ops)
        self.pre_dense_3 = Skip(32, 48, 1, ops)
        self.up_block_1 = Enlargement(16, 1, ops)
        self.up_block_2 = Enlargement(32, 1, ops)
        self.up_block_3 = Enlargement(48, 2, ops)
        self.block_cat = Fusion(ops)

    def forward(self, images: Tensor) -> Tensor:
        """RGB (B, 3, H, W) in 0..1, H and W multiples of 8 -> edges (B, 1, H, W) float32 in 0..1."""
        fine = smish(self.block_1(images * 255))
        middle = self.block_2(fine)
        small = nn.functional.max_pool2d(middle, 3, stride=2, padding=1)
        dense = self.dblock_3["denselayer1"](smish(small + self.side_1(fine)))
        coarse = (dense + self.pre_dense_3(small)) * 0.5
        maps = torch.cat([self.up_block_1(fine), self.up_block_2(middle), self.up_block_3(coarse)], dim=1)
        logits = torch.cat([maps, self.block_cat(maps)], dim=1).float()
        return logits.mean(dim=1, keepdim=True).sigmoid_()


def build(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of `7_model.pth` or `MTEED.pth`."""
    return channels_last(assemble(lambda: TEED(ops), unwrap(state_dict)))
