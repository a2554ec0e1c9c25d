"""PiDiNet, the pixel difference network: soft edges.

Sources: Su et al., "Pixel Difference Networks for Efficient Edge Detection" (arXiv 2108.07009); layer names of
`table5_pidinet.pth` in the hub repository lllyasviel/Annotators, the paper's variant `carv4`.

A pixel difference convolution weighs differences between neighbors instead of pixels. That is linear in the
pixels, so each one becomes a plain convolution once its kernel is rewritten.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .blocks.tiled import TiledNetwork
from .official import Ops, assemble, channels_last, unwrap

STAGES = ((60, 3), (120, 4), (240, 4), (240, 4))
"""(channels, number of blocks) of each stage; every stage but the first halves the size."""
BRANCH = 24
"""Channels of the part that turns a stage's features into a map."""
DILATIONS = (5, 7, 9, 11)

_CLOCKWISE = (3, 0, 1, 6, 4, 2, 7, 8, 5)
_OUTER = (0, 2, 4, 10, 14, 20, 22, 24)
_INNER = (6, 7, 8, 11, 13, 16, 17, 18)


def _central(kernel: Tensor) -> Tensor:
    """Each neighbor minus the center."""
    plain = kernel.clone()
    plain[:, :, 1, 1] -= kernel.sum(dim=(2, 3))
    return plain


def _angular(kernel: Tensor) -> Tensor:
    """Each neighbor minus the next one on the way around the center."""
    flat = kernel.flatten(2)
    return (flat - flat[:, :, _CLOCKWISE]).view_as(kernel)


def _radial(kernel: Tensor) -> Tensor:
    """Each pixel of the outer ring of 5x5 minus the one between it and the center."""
    plain = kernel.new_zeros((*kernel.shape[:2], 25))
    plain[:, :, _OUTER] = kernel.flatten(2)[:, :, 1:]
    plain[:, :, _INNER] = -kernel.flatten(2)[:, :, 1:]
    return plain.view(*kernel.shape[:2], 5, 5)


def _plain(kernel: Tensor) -> Tensor:
    return kernel


_DIFFERENCES = (_central, _angular, _radial, _plain)
"""In turn for the first convolution and the blocks, over all stages."""


def _layers() -> list[str]:
    """The names of the difference convolutions, in order."""
    blocks = (f"block{s}_{b}.conv1" for s, (_, count) in enumerate(STAGES, 1) for b in range(1, count + 1))
    return ["init_block", *blocks]


def fold_differences(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The official weights with plain kernels; the radial ones grow from 3x3 to 5x5.

    Raises ValueError for a kernel that is missing or not 3x3, as in a file that has been folded already.
    """
    folded = dict(state_dict)
    for index, layer in enumerate(_layers()):
        kernel = state_dict.get(f"{layer}.weight")
        if kernel is None or kernel.shape[2:] != (3, 3):
            found = "missing" if kernel is None else tuple(kernel.shape)
            raise ValueError(f"This is not PiDiNet's official file: {layer}.weight is {found}, expected a 3x3 kernel.")
        folded[f"{layer}.weight"] = _DIFFERENCES[index % 4](kernel)
    return folded


class Block(nn.Module):
    """A depthwise difference convolution and a pointwise one, added to their input."""

    def __init__(self, channels: int, width: int, kernel: int, halve: bool, ops: Ops) -> None:
        super().__init__()
        self.conv1 = ops.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False)
        self.conv2 = ops.Conv2d(channels, width, 1, bias=False)
        self.shortcut = ops.Conv2d(channels, width, 1) if halve else None

    def forward(self, x: Tensor) -> Tensor:
        if self.shortcut is None:
            return self.conv2(self.conv1(x).relu_()).add_(x)
        x = nn.functional.max_pool2d(x, 2)
        return self.conv2(self.conv1(x).relu_()).add_(self.shortcut(x))


class Dilations(nn.Module):
    """The sum of four looks at a stage, each further around a pixel than the one before."""

    def __init__(self, channels: int, ops: Ops) -> None:
        super().__init__()
        self.conv1 = ops.Conv2d(channels, BRANCH, 1)
        for index, reach in enumerate(DILATIONS, 1):
            layer = ops.Conv2d(BRANCH, BRANCH, 3, padding=reach, dilation=reach, bias=False)
            self.add_module(f"conv2_{index}", layer)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x.relu())
        total = self.get_submodule("conv2_1")(x)
        for index in range(2, len(DILATIONS) + 1):
            total += self.get_submodule(f"conv2_{index}")(x)
        return total


class Attention(nn.Module):
    """A weight for each pixel."""

    def __init__(self, ops: Ops) -> None:
        super().__init__()
        self.conv1 = ops.Conv2d(BRANCH, 4, 1)
        self.conv2 = ops.Conv2d(4, 1, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv2(self.conv1(x.relu())).sigmoid()


class Reduction(nn.Module):
    """One map from the features of a branch."""

    def __init__(self, ops: Ops) -> None:
        super().__init__()
        self.conv = ops.Conv2d(BRANCH, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class PiDiNet(TiledNetwork):
    """Four stages, a map of each, and their weighted sum."""

    reach = 184
    """It looks 179 pixels around each; rounded up to the stride of 8, for tiles."""

    def __init__(self, ops: Ops = nn) -> None:
        super().__init__()
        self.init_block = ops.Conv2d(3, STAGES[0][0], 3, padding=1, bias=False)
        channels, layer = STAGES[0][0], 1
        for stage, (width, blocks) in enumerate(STAGES, 1):
            for block in range(1, blocks + 1):
                kernel = 5 if _DIFFERENCES[layer % 4] is _radial else 3
                halve = stage > 1 and block == 1
                self.add_module(f"block{stage}_{block}", Block(channels, width, kernel, halve, ops))
                channels, layer = width, layer + 1
        self.dilations = nn.ModuleList(Dilations(width, ops) for width, _ in STAGES)
        self.attentions = nn.ModuleList(Attention(ops) for _ in STAGES)
        self.conv_reduces = nn.ModuleList(Reduction(ops) for _ in STAGES)
        self.classifier = ops.Conv2d(len(STAGES), 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """RGB (B, 3, H, W) in 0..1, H and W multiples of 8 -> edges (B, 1, H, W) float32 in 0..1."""
        x = self.init_block(images.flip(1))
        maps = []
        for stage, (_, blocks) in enumerate(STAGES):
            for block in range(1, blocks + 1):
                x = self.get_submodule(f"block{stage + 1}_{block}")(x)
            reduced = self.conv_reduces[stage](self.attentions[stage](self.dilations[stage](x)))
            maps.append(nn.functional.interpolate(reduced, images.shape[2:], mode="bilinear", align_corners=False))
        return self.classifier(torch.cat(maps, dim=1)).float().sigmoid_()


def build(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of `table5_pidinet.pth`."""
    weights = fold_differences(unwrap(state_dict))
    return channels_last(assemble(lambda: PiDiNet(ops), weights))
