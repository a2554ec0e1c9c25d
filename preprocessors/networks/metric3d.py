"""Metric3D v2: depth and normals together, by DINOv2 and a decoder that refines both in rounds.

Sources: Hu et al., "Metric3D v2" (arXiv 2404.15506); weight names of `metric_depth_vit_small_800k.pth` and its
relatives (YvanYin/Metric3D: BSD-2-Clause).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .blocks.dino import PATCH, Dino
from .blocks.dpt import enlarge
from .blocks.refinement import ConvGru, enlarge_convexly
from .official import Ops, assemble, unwrap

MULTIPLE = 2 * PATCH
"""Sides of the pictures the network takes are multiples of this."""
CANONICAL_FOCAL_LENGTH = 1000.0
"""Pixels: the network tells the depth that a picture of this focal length would have."""
FARTHEST = 200.0
"""The farthest that it tells, in metres of such a picture."""

_NEAREST = 0.1
_SCALE = 100.0
"""Metres in a unit of the depth that is refined, which counts from the farthest."""
_BINS = 256
_REGISTERS = 4
_FACTOR = 4
"""Depth and normals are refined at one in so many pixels of each side."""
_ESTIMATE = 6
"""Channels that are refined: depth, its confidence, the normal's three and its confidence."""
_MEAN, _DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_WRAPPER, _PREFIX = "model_state_dict", "depth_model."
_UNUSED = ("encoder.mask_token",)


@dataclass(frozen=True)
class Size:
    """One of the sizes: transformer width, heads and blocks; whether its perceptrons are gated; channels of the
    hidden states; rounds of refinement; whether the decoder reads the tokens of four depths or the last ones."""

    width: int
    heads: int
    depth: int
    hidden: int
    rounds: int
    gated: bool = False
    several_depths: bool = False

    @property
    def levels(self) -> tuple[int, int, int, int]:
        """Channels of the maps at 1/4, 1/7, 1/14 and 1/14 of the picture."""
        return self.width // 4, self.width // 2, self.width, self.width


SIZES = {
    384: Size(384, 6, 12, 48, 4),
    1024: Size(1024, 16, 24, 128, 8),
    1536: Size(1536, 24, 40, 192, 8, gated=True, several_depths=True),
}
"""Small, Large and Giant by their width."""


class _Readout(nn.Module):
    """Joins what the class and the registers say to every patch."""

    def __init__(self, width: int, ops: Ops) -> None:
        super().__init__()
        self.project_patch = ops.Linear(width, width)
        self.project_learn = ops.Linear((1 + _REGISTERS) * width, width, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        whole = self.project_learn(tokens[:, : 1 + _REGISTERS].flatten(1))
        return functional.gelu(self.project_patch(tokens[:, 1 + _REGISTERS :]) + whole[:, None])


class _Level(nn.Module):
    """Tokens as a map of one size."""

    def __init__(self, width: int, sample: nn.Module, ops: Ops) -> None:
        super().__init__()
        self.readoper = _Readout(width, ops)
        self.sample = sample

    def forward(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        return self.sample(self.readoper(tokens).transpose(1, 2).unflatten(2, grid))


class _Levels(nn.Module):
    def __init__(self, size: Size, ops: Ops) -> None:
        super().__init__()
        quarter, seventh, *_ = size.levels
        samples = (
            nn.Sequential(ops.Conv2d(size.width, quarter, 1)),
            ops.ConvTranspose2d(size.width, seventh, 2, stride=2),
            nn.Identity(),
            nn.Identity(),
        )
        for number, sample in enumerate(samples):
            self.add_module(f"read_{number}", _Level(size.width, sample, ops))

    def forward(self, tokens: list[Tensor], grid: tuple[int, int]) -> list[Tensor]:
        """The maps at 1/4, 1/7, 1/14 and 1/14."""
        maps = [self.get_submodule(f"read_{number}")(level, grid) for number, level in enumerate(tokens)]
        # The official order is the other one. A 1x1 convolution and a repetition of pixels may change places.
        quarter = tuple(side * PATCH // _FACTOR for side in grid)
        return [functional.interpolate(maps[0], size=quarter, mode="nearest"), *maps[1:]]


class _ConvBlock(nn.Module):
    def __init__(self, channels: int, ops: Ops) -> None:
        super().__init__()
        self.conv1 = ops.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = ops.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Expects x above 0: the official block begins with a ReLU in place, which its shortcut sees too."""
        return x + self.conv2(self.conv1(x).relu_())


class _Fuse(nn.Module):
    """Adds a map to the coarser result so far and enlarges the sum."""

    def __init__(self, channels: int, width: int, ops: Ops, branch: bool = True) -> None:
        super().__init__()
        self.way_trunk = _ConvBlock(channels, ops)
        if branch:
            self.way_branch = _ConvBlock(channels, ops)
        self.out_conv = ops.Conv2d(channels, width, 1)

    def forward(self, x: Tensor, features: Tensor | None, size: tuple[int, int]) -> Tensor:
        if features is not None:
            x = x + self.way_branch(features)
        x = self.out_conv(self.way_trunk(x.relu()))
        return x if x.shape[2:] == size else enlarge(x, size)


class _First(nn.Module):
    """The first estimate's features, at 1/4 of the picture, and the confidences of depth and normals."""

    def __init__(self, size: Size, ops: Ops) -> None:
        super().__init__()
        quarter, seventh, fourteenth, last = size.levels
        self.upconv_3 = _Fuse(last, fourteenth, ops, branch=False)
        self.upconv_2 = _Fuse(fourteenth, seventh, ops)
        self.upconv_1 = _Fuse(seventh, quarter + 2, ops)

    def forward(self, levels: list[Tensor]) -> Tensor:
        sizes = [(level.shape[2], level.shape[3]) for level in levels]
        x = self.upconv_3(levels[3], None, sizes[3])
        x = self.upconv_2(x, levels[2], sizes[1])
        return self.upconv_1(x, levels[1], sizes[0])


class _LayerNorm2d(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels))
        self.bias = nn.Parameter(torch.empty(channels))

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.to(x), self.bias.to(x)
        return functional.layer_norm(x.movedim(1, -1), weight.shape, weight, bias).movedim(-1, 1)


class _Residual(nn.Module):
    """Two convolutions beside a shortcut to another width."""

    def __init__(self, channels: int, width: int, ops: Ops) -> None:
        super().__init__()
        self.conv1 = ops.Conv2d(channels, width, 3, padding=1)
        self.conv2 = ops.Conv2d(width, width, 3, padding=1)
        self.norm1, self.norm2 = _LayerNorm2d(width), _LayerNorm2d(width)
        self.downsample = nn.Sequential(ops.Conv2d(channels, width, 1), _LayerNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(self.conv1(x)).relu()
        return (self.downsample(x) + self.norm2(self.conv2(y)).relu()).relu()


class _Context(nn.Module):
    """What the rounds begin with and see at each: hidden states and features at 1/4, 1/7 and 1/14."""

    def __init__(self, size: Size, ops: Ops) -> None:
        super().__init__()
        for name, channels in zip(("outputs04", "outputs08", "outputs16"), size.levels, strict=False):
            both = (
                nn.Sequential(_Residual(channels, size.hidden, ops), ops.Conv2d(size.hidden, size.hidden, 3, padding=1))
                for _ in range(2)
            )
            self.add_module(name, nn.ModuleList(both))

    def forward(self, levels: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        hidden, context = [], []
        for level, outputs in zip(levels, self.children(), strict=False):
            first, second = outputs.children()
            hidden.append(first(level).tanh())
            context.append(second(level).relu())
        return hidden, context


class _FlowHead(nn.Module):
    """The change of depth and of the normals."""

    def __init__(self, hidden: int, ops: Ops) -> None:
        super().__init__()
        self.conv1d, self.conv2d = ops.Conv2d(hidden, hidden, 3, padding=1), ops.Conv2d(hidden, 2, 3, padding=1)
        self.conv1n, self.conv2n = ops.Conv2d(hidden, hidden, 3, padding=1), ops.Conv2d(hidden, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.conv2d(self.conv1d(x).relu()), self.conv2n(self.conv1n(x).relu())], dim=1)


class _Update(nn.Module):
    """One round: hidden states at three sizes, coarsest first, and the change that they tell."""

    def __init__(self, hidden: int, ops: Ops) -> None:
        super().__init__()
        self.gru08 = ConvGru(hidden, _ESTIMATE + hidden, 3, ops)
        self.gru16 = ConvGru(hidden, 2 * hidden, 3, ops)
        self.gru32 = ConvGru(hidden, hidden, 3, ops)
        self.flow_head = _FlowHead(hidden, ops)
        self.mask = nn.Sequential(
            ops.Conv2d(hidden, hidden, 3, padding=1), nn.ReLU(), ops.Conv2d(hidden, 9 * _FACTOR**2, 1)
        )

    def forward(self, states: list[Tensor], context: list[tuple[Tensor, ...]], estimate: Tensor) -> list[Tensor]:
        fine, middle, coarse = states
        coarse = self._coarse(coarse, middle, context)
        for _ in range(2):
            coarse = self._coarse(coarse, middle, context)
            size = (middle.shape[2], middle.shape[3])
            both = torch.cat([enlarge(_halved(fine), size), enlarge(coarse, size)], dim=1)
            middle = self.gru16(middle, both, context[1])
        around = enlarge(middle, (fine.shape[2], fine.shape[3]))
        fine = self.gru08(fine, torch.cat([estimate, around], dim=1), context[0])
        return [fine, middle, coarse]

    def _coarse(self, coarse: Tensor, middle: Tensor, context: list[tuple[Tensor, ...]]) -> Tensor:
        return self.gru32(coarse, _halved(middle), context[2])


def _halved(x: Tensor) -> Tensor:
    return functional.avg_pool2d(x, 3, stride=2, padding=1)


class _Decoder(nn.Module):
    def __init__(self, size: Size, ops: Ops) -> None:
        super().__init__()
        self.rounds = size.rounds
        features = size.levels[0]
        self.token2feature = _Levels(size, ops)
        self.decoder_mono = _First(size, ops)
        self.depth_regressor = nn.Sequential(
            ops.Conv2d(features, _BINS, 3, padding=1), nn.ReLU(), ops.Conv2d(_BINS, _BINS, 1)
        )
        widths = (128, 128, 128, 3)
        layers: list[nn.Module] = [ops.Conv2d(features, widths[0], 3, padding=1)]
        for before, after in pairwise(widths):
            layers += [nn.ReLU(), ops.Conv2d(before, after, 1)]
        self.normal_predictor = nn.Sequential(*layers)
        self.context_feature_encoder = _Context(size, ops)
        self.context_zqr_convs = nn.ModuleList(ops.Conv2d(size.hidden, 3 * size.hidden, 3, padding=1) for _ in range(3))
        self.update_block = _Update(size.hidden, ops)

    def forward(self, tokens: list[Tensor], grid: tuple[int, int]) -> Tensor:
        levels = self.token2feature(tokens, grid)
        # Officially the blocks of the first estimate cut these two off in place, and what follows sees them so.
        levels = [levels[0], levels[1].relu(), levels[2].relu(), levels[3]]
        estimate = self._first_estimate(self.decoder_mono(levels))
        states, seen = self.context_feature_encoder(levels)
        context = [conv(x).chunk(3, dim=1) for conv, x in zip(self.context_zqr_convs, seen, strict=True)]
        for _ in range(self.rounds):
            states = self.update_block(states, context, estimate.to(states[0]))
            estimate = estimate + self.update_block.flow_head(states[0]).float()
        weights = 0.25 * self.update_block.mask(states[0]).float()
        return enlarge_convexly(estimate, weights, _FACTOR, border="constant")

    def _first_estimate(self, x: Tensor) -> Tensor:
        features, depth_confidence, normal_confidence = x[:, :-2], x[:, -2:-1], x[:, -1:]
        shares = self.depth_regressor(features).float().softmax(1)
        ends = math.log(_NEAREST), math.log(FARTHEST)
        distances = torch.linspace(*ends, _BINS, device=x.device).exp().view(-1, 1, 1)
        depth = (shares * distances).sum(1, keepdim=True).clamp(_NEAREST, FARTHEST)
        normals = torch.cat([self.normal_predictor(features), normal_confidence], dim=1).float()
        return torch.cat([(depth - FARTHEST) / _SCALE, depth_confidence.float(), _as_distribution(normals)], dim=1)


def _as_distribution(x: Tensor) -> Tensor:
    """A unit normal and its concentration, from four free numbers."""
    length = x[:, :3].norm(dim=1, keepdim=True) + 1e-10
    return torch.cat([x[:, :3] / length, functional.elu(x[:, 3:]) + 1.01], dim=1)


class Metric3D(nn.Module):
    """One of the sizes."""

    def __init__(self, size: Size, grid: int = 37, ops: Ops = nn) -> None:
        super().__init__()
        self.size = size
        self.encoder = Dino(size, grid, ops, registers=_REGISTERS)
        self.decoder = _Decoder(size, ops)

    def forward(self, images: Tensor) -> Tensor:
        """RGB (B, 3, H, W) in 0..1, H and W multiples of 28 -> (B, 4, H, W) in float32.

        The depth in metres of a camera of `CANONICAL_FOCAL_LENGTH`, and three components of the unit normal, to the
        left, up and to the viewer.
        """
        mean, deviation = (images.new_tensor(values).view(3, 1, 1) for values in (_MEAN, _DEVIATION))
        grid = images.shape[2] // PATCH, images.shape[3] // PATCH
        estimate = self.decoder(self._tokens((255 * images - mean) / deviation), grid)
        depth = (estimate[:, :1] * _SCALE + FARTHEST).clamp(_NEAREST, FARTHEST)
        normals = -_as_distribution(estimate[:, 2:])[:, :3]  # it tells them to the right, down and away
        return torch.cat([depth, normals], dim=1)

    def _tokens(self, images: Tensor) -> list[Tensor]:
        """What the decoder reads for each of its four levels."""
        tokens = self.encoder.tokens(images)
        read = []
        for index, block in enumerate(self.encoder.blocks, 1):
            tokens = block(tokens)
            if self.size.several_depths and index % (self.size.depth // 4) == 0:
                read.append(tokens)
        return read if self.size.several_depths else [self.encoder.norm(tokens)] * 4


def build(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of `metric_depth_vit_small_800k.pth` and its relatives; the size is read from the weights."""
    inner = state_dict.get(_WRAPPER)
    named = unwrap(inner if isinstance(inner, Mapping) else state_dict)
    weights = {
        name.removeprefix(_PREFIX).replace("encoder.blocks.0.", "encoder.blocks."): value
        for name, value in named.items()
        if ".norm3." not in name  # the same as the last norm of `downsample`, stored twice
    }
    positions = weights.get("encoder.pos_embed")
    if positions is None or positions.shape[-1] not in SIZES:
        raise ValueError("The file is not Metric3D v2 Small, Large or Giant: it lacks their encoder.pos_embed.")
    grid = int((positions.shape[1] - 1) ** 0.5)
    weights = {name: value for name, value in weights.items() if name not in _UNUSED}
    return assemble(lambda: Metric3D(SIZES[positions.shape[-1]], grid, ops), weights)
