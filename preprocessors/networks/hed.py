"""HED, holistically-nested edge detection: soft edges.

Sources: Xie and Tu, arXiv 1504.06375; the layer names of `ControlNetHED.pth` in the hub repository
lllyasviel/Annotators; ControlNet v1.1 `annotator/hed`.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .blocks.tiled import TiledNetwork
from .official import Ops, assemble, channels_last, unwrap

BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""(channels, number of convolutions) of each block; every block but the first halves the size."""


class Block(nn.Module):
    """Convolutions of VGG16 and the projection of their result to one map."""

    def __init__(self, channels: int, width: int, layers: int, ops: Ops) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            ops.Conv2d(width if index else channels, width, 3, padding=1) for index in range(layers)
        )
        self.projection = ops.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> the features and their map (B, 1, H, W)."""
        for convolution in self.convs:
            x = convolution(x).relu_()
        return x, self.projection(x)


class HED(TiledNetwork):
    """The mean of five maps of edges, from fine to coarse."""

    reach = 128
    """It looks 113 pixels around each; rounded up to the stride of 16, for tiles."""

    def __init__(self, ops: Ops = nn) -> None:
        super().__init__()
        self.norm = nn.Parameter(torch.empty(1, 3, 1, 1))
        channels = 3
        for index, (width, layers) in enumerate(BLOCKS, 1):
            self.add_module(f"block{index}", Block(channels, width, layers, ops))
            channels = width

    def forward(self, images: Tensor) -> Tensor:
        """RGB (B, 3, H, W) in 0..1, H and W multiples of 16 -> edges (B, 1, H, W) float32 in 0..1."""
        size = images.shape[2:]
        x = images * 255 - self.norm.to(images)
        logits = images.new_zeros((len(images), 1, *size), dtype=torch.float32)
        for index in range(1, len(BLOCKS) + 1):
            x = nn.functional.max_pool2d(x, 2) if index > 1 else x
            x, projection = self.get_submodule(f"block{index}")(x)
            logits += nn.functional.interpolate(projection.float(), size, mode="bilinear", align_corners=False)
        return logits.div_(len(BLOCKS)).sigmoid_()


def build(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of `ControlNetHED.pth`."""
    return channels_last(assemble(lambda: HED(ops), unwrap(state_dict)))
