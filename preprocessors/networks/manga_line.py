"""Manga line extraction (`erika.pth`): the drawn lines of a page without its screentones.

Sources: Li, Liu and Wong, "Deep Extraction of Manga Structural Lines" (SIGGRAPH 2017); layer names of the file in
the hub repository lllyasviel/Annotators.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .blocks.tiled import TiledNetwork
from .official import Ops, assemble, channels_last, unwrap

DOWN = ((24, 2), (48, 3), (96, 5), (192, 7), (384, 12))
UP = ((192, 7), (96, 5), (48, 3), (24, 2))
LAST = (16, 2)
"""(channels, number of blocks) of each stage: down, back up, and at full size again."""
GREY = (0.299, 0.587, 0.114)
"""Luma of ITU-R BT.601, as OpenCV makes grey of red, green and blue."""


class Convolution(nn.Module):
    """Norm, activation, convolution and, where asked for, twice the size; numbered as in the official file."""

    def __init__(self, channels: int, width: int, ops: Ops, kernel: int = 3, scale: float = 1) -> None:
        super().__init__()
        stride = 2 if scale < 1 else 1
        self.model = nn.Sequential(
            nn.BatchNorm2d(channels, eps=1e-3),
            nn.LeakyReLU(0.2, inplace=True),
            ops.Conv2d(channels, width, kernel, stride=stride, padding=kernel // 2),
            *([nn.Upsample(scale_factor=2)] if scale > 1 else []),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class Shortcut(nn.Module):
    """A block's input in the shape of its result."""

    def __init__(self, channels: int, width: int, ops: Ops, scale: float) -> None:
        super().__init__()
        stride = 2 if scale < 1 else 1
        self.model = nn.Sequential(
            ops.Conv2d(channels, width, 1, stride=stride),
            *([nn.Upsample(scale_factor=2)] if scale > 1 else []),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class Block(nn.Module):
    """Two convolutions added to their input."""

    def __init__(self, channels: int, width: int, ops: Ops, scale: float = 1) -> None:
        super().__init__()
        self.conv1 = Convolution(channels, width, ops, scale=scale)
        self.residual = Convolution(width, width, ops)
        same = channels == width and scale == 1
        self.shortcut = None if same else Shortcut(channels, width, ops, scale)

    def forward(self, x: Tensor) -> Tensor:
        return self.residual(self.conv1(x)).add_(x if self.shortcut is None else self.shortcut(x))


class Stage(nn.Module):
    """Blocks of one width. A stage on the way down halves in its last block, one on the way up doubles in its first."""

    def __init__(self, channels: int, shape: tuple[int, int], ops: Ops, scale: float = 1) -> None:
        super().__init__()
        width, blocks = shape
        resized = blocks - 1 if scale < 1 else 0
        self.model = nn.Sequential(
            *(
                Block(width if index else channels, width, ops, scale if index == resized else 1)
                for index in range(blocks)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class MangaLines(TiledNetwork):
    """Stages down to a sixteenth of the size and back, each on the way up added to its counterpart."""

    reach = 496
    """Pixels to each side that an answer depends on."""
    whole_tiles = 4
    """So much does a tile see with its surroundings."""

    def __init__(self, ops: Ops = nn) -> None:
        super().__init__()
        channels = 1
        stages = [(shape, 0.5 if index else 1) for index, shape in enumerate(DOWN)]
        stages += [(shape, 2) for shape in UP] + [(LAST, 1)]
        for index, (shape, scale) in enumerate(stages):
            self.add_module(f"block{index}", Stage(channels, shape, ops, scale))
            channels = shape[0]
        self.conv15 = Convolution(channels, 1, ops, kernel=1)

    def forward(self, images: Tensor) -> Tensor:
        """RGB (B, 3, H, W) in 0..1, H and W multiples of 16 -> white lines on black, (B, 1, H, W) float32 in 0..1."""
        x = (images * 255 * torch.tensor(GREY).to(images)[:, None, None]).sum(dim=1, keepdim=True)
        kept = []
        for index in range(len(DOWN)):
            x = self.get_submodule(f"block{index}")(x)
            kept.append(x)
        kept.pop()
        for index in range(len(DOWN), len(DOWN) + len(UP)):
            x = self.get_submodule(f"block{index}")(x) + kept.pop()
        x = self.conv15(self.get_submodule(f"block{len(DOWN) + len(UP)}")(x))
        return 1 - (x.float() / 255).clamp_(0, 1)


def build(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of `erika.pth`."""
    return channels_last(assemble(lambda: MangaLines(ops), unwrap(state_dict)))
