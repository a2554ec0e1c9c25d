"""The U-Net that draws anime's lines (`netG.pth`).

Sources: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks" (arXiv 1611.07004) for
the network; its layer names in the hub repository lllyasviel/Annotators.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .blocks.instance_norm import InstanceNorm
from .official import Ops, assemble, unwrap

WIDTHS = (64, 128, 256, 512, 512, 512, 512, 512)
"""Channels after each halving."""
MULTIPLE = 2 ** len(WIDTHS)
"""The sides of the picture must be multiples of this."""


class Level(nn.Module):
    """One halving, the levels below it, and the way back up; inner levels keep their input beside the result.

    The layers stand where the official file numbers them: the activations before and norms after the convolutions
    count too.
    """

    def __init__(self, depth: int, ops: Ops) -> None:
        super().__init__()
        outermost, innermost = depth == 0, depth == len(WIDTHS) - 1
        channels = 3 if outermost else WIDTHS[depth - 1]
        width, back = WIDTHS[depth], 1 if outermost else channels
        layers: list[nn.Module] = [] if outermost else [nn.LeakyReLU(0.2, inplace=True)]
        layers.append(ops.Conv2d(channels, width, 4, stride=2, padding=1))
        if not innermost:
            layers += [] if outermost else [InstanceNorm()]
            layers.append(Level(depth + 1, ops))
        layers += [nn.ReLU(inplace=True), ops.ConvTranspose2d(width * (1 if innermost else 2), back, 4, 2, 1)]
        layers += [] if outermost else [InstanceNorm()]
        self.model = nn.Sequential(*layers)
        self.outermost = outermost

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], dim=1)


class AnimeLineDrawing(nn.Module):
    """Eight levels, one inside the other."""

    def __init__(self, ops: Ops = nn) -> None:
        super().__init__()
        self.model = Level(0, ops)

    def forward(self, images: Tensor) -> Tensor:
        """RGB (B, 3, H, W) in 0..1, H and W multiples of 256 -> white lines on black, (B, 1, H, W) in 0..1."""
        # Channel after channel: the norms of the innermost maps, a few points, magnify the other order's rounding.
        return self.model((images * 2 - 1).contiguous()).float().tanh_().mul_(-0.5).add_(0.5)


def build(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of `netG.pth`."""
    return assemble(lambda: AnimeLineDrawing(ops), unwrap(state_dict))
