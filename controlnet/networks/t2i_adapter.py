"""T2I-Adapter (Mou et al. 2023, arXiv 2302.08453): a small network of the hint alone, run once for a picture.

It gives one feature map for each level of the UNet's encoder, added there after the level's last block. Module names
follow TencentARC/T2I-Adapter, so that official files load unchanged.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...storage.weights import shapes_of
from .build import fill
from .dimensions import Shapes, shape_of
from .layers import Attention, Ops, torch_attention

LEVELS = 4
SDXL_CHANNELS = (256, 768)
"""Channels after the pixel unshuffle by 16, for a grey or a colored hint; by 8 they are 64 and 192."""


@dataclass(frozen=True)
class Level:
    """Residual blocks at one size. channels: what they give. down: halve before. change: a convolution before."""

    channels: int
    blocks: int
    down: bool
    change: bool


@dataclass(frozen=True)
class T2IAdapterDimensions:
    """All that shapes a T2I-Adapter.

    in_channels: after the unshuffle. kernel: side of the second convolutions. learned_down: halve by a convolution,
    else by the mean.
    """

    in_channels: int
    levels: tuple[Level, ...]
    light: bool
    kernel: int = 3
    learned_down: bool = False

    @property
    def is_sdxl(self) -> bool:
        return self.in_channels in SDXL_CHANNELS

    @property
    def unshuffle(self) -> int:
        return 16 if self.is_sdxl else 8

    @property
    def hint_channels(self) -> int:
        return self.in_channels // self.unshuffle**2

    @property
    def family(self) -> str:
        return "SDXL" if self.is_sdxl else "SD1.5"


def infer_t2i_adapter(shapes: Shapes) -> T2IAdapterDimensions:
    """Read the dimensions off the shapes of a state dict in the authors' keys. Raises ValueError when parts lack."""
    light = "conv_in.weight" not in shapes
    first = shape_of(shapes, "body.0.in_conv.weight" if light else "conv_in.weight", 4)
    if first[1] not in (64, 192, *SDXL_CHANNELS):
        raise ValueError(f"This T2I-Adapter takes {first[1]} channels; known are 64, 192 (SD1.5), 256 and 768 (SDXL).")
    if light:
        return T2IAdapterDimensions(first[1], _light_levels(shapes), light=True)
    count = _count(shapes, "body")
    if count == 0 or count % LEVELS:
        raise ValueError(f"This T2I-Adapter has {count} residual blocks, which are not {LEVELS} equal levels.")
    each = count // LEVELS
    halved = (2,) if first[1] in SDXL_CHANNELS else (1, 2, 3)
    levels = tuple(
        Level(
            channels=shape_of(shapes, f"body.{each * level}.block1.weight", 4)[0],
            blocks=each,
            down=level in halved,
            change=f"body.{each * level}.in_conv.weight" in shapes,
        )
        for level in range(LEVELS)
    )
    return T2IAdapterDimensions(
        first[1],
        levels,
        light=False,
        kernel=shape_of(shapes, "body.0.block2.weight", 4)[2],
        learned_down=any(key.endswith("down_opt.op.weight") for key in shapes),
    )


def _light_levels(shapes: Shapes) -> tuple[Level, ...]:
    if _count(shapes, "body") != LEVELS:
        raise ValueError(f"This light T2I-Adapter has {_count(shapes, 'body')} levels, expected {LEVELS}.")
    return tuple(
        Level(
            channels=shape_of(shapes, f"body.{level}.out_conv.weight", 4)[0],
            blocks=_count(shapes, f"body.{level}.body"),
            down=level > 0,
            change=True,
        )
        for level in range(LEVELS)
    )


def _count(shapes: Shapes, prefix: str) -> int:
    number = re.compile(re.escape(prefix) + r"\.(\d+)\.")
    return len({found[1] for key in shapes if (found := number.match(key))})


class Halve(nn.Module):
    """The mean of 2x2 points, with a border of zeros around odd sides, as the authors' code pads."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(x, 2, padding=(x.shape[2] % 2, x.shape[3] % 2))


class LearnedHalve(nn.Module):
    """A strided convolution."""

    def __init__(self, channels: int, ops: Ops) -> None:
        super().__init__()
        self.op = ops.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class Residual(nn.Module):
    """Two convolutions around a ReLU, added to what came in; before them what brings it to size and width."""

    def __init__(self, channels: int, kernel: int, before: Mapping[str, nn.Module], ops: Ops) -> None:
        super().__init__()
        for name, module in before.items():
            self.add_module(name, module)
        self.before = tuple(before)
        self.block1 = ops.Conv2d(channels, channels, 3, padding=1)
        self.block2 = ops.Conv2d(channels, channels, kernel, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        for name in self.before:
            x = self.get_submodule(name)(x)
        return x + self.block2(nn.functional.relu(self.block1(x)))


class LightLevel(nn.Module):
    """Residual blocks at a quarter of the width."""

    def __init__(self, before: int, level: Level, ops: Ops) -> None:
        super().__init__()
        inner = level.channels // 4
        self.halve = Halve() if level.down else nn.Identity()
        self.in_conv = ops.Conv2d(before, inner, 1)
        self.body = nn.Sequential(*(Residual(inner, 3, {}, ops) for _ in range(level.blocks)))
        self.out_conv = ops.Conv2d(inner, level.channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out_conv(self.body(self.in_conv(self.halve(x))))


class T2IAdapter(nn.Module):
    """hint (B, hint_channels, H, W) -> a feature map for each level."""

    def __init__(self, dims: T2IAdapterDimensions, ops: Ops = nn) -> None:
        super().__init__()
        self.dims = dims
        before = dims.in_channels
        if not dims.light:
            self.conv_in = ops.Conv2d(before, dims.levels[0].channels, 3, padding=1)
            before = dims.levels[0].channels
        self.body = nn.ModuleList()
        for level in dims.levels:
            self.body.extend([LightLevel(before, level, ops)] if dims.light else _full_level(before, level, dims, ops))
            before = level.channels

    def forward(self, hint: Tensor) -> list[Tensor]:
        """hint: 0..1, with sides divisible by `dims.unshuffle`. Returns four maps, the largest first."""
        x = nn.functional.pixel_unshuffle(hint, self.dims.unshuffle)
        if not self.dims.light:
            x = self.conv_in(x)
        each = len(self.body) // len(self.dims.levels)
        features = []
        for index, block in enumerate(self.body):
            x = block(x)
            if index % each == each - 1:
                features.append(x)
        return features


def _full_level(before: int, level: Level, dims: T2IAdapterDimensions, ops: Ops) -> list[nn.Module]:
    first: dict[str, nn.Module] = {}
    if level.down:
        first["down_opt"] = LearnedHalve(before, ops) if dims.learned_down else Halve()
    if level.change:
        first["in_conv"] = ops.Conv2d(before, level.channels, dims.kernel, padding=dims.kernel // 2)
    parts = [first, *({} for _ in range(level.blocks - 1))]
    return [Residual(level.channels, dims.kernel, part, ops) for part in parts]


def build_t2i_adapter(
    state_dict: Mapping[str, Tensor], ops: Ops = nn, attention: Attention = torch_attention
) -> T2IAdapter:
    """Make the adapter that a state dict in the authors' keys describes, around the very tensors given (no copy).

    attention: not used. Raises ValueError when keys are missing or left over.
    """
    dims = infer_t2i_adapter(shapes_of(state_dict))
    with torch.device("meta"):
        network = T2IAdapter(dims, ops)
    return fill(network, state_dict, "T2I-Adapter")
