"""Depth Anything V1 and V2: relative depth from one picture by DINOv2 and a DPT decoder.

Sources: Yang et al., arXiv 2401.10891 and 2406.09414; Oquab et al., "DINOv2" (arXiv 2304.07193); weight names of
`depth_anything_v2_vits.pth` and its relatives (depth-anything/Depth-Anything-V2-Small: Apache-2.0).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from .blocks.dino import PATCH, Dino
from .blocks.dpt import Scratch, enlarge
from .official import Ops, assemble, unwrap

MULTIPLE = PATCH
"""Sides of the pictures the network takes are multiples of this."""
INDOOR, OUTDOOR = 20.0, 80.0
"""The farthest that the metric networks tell, in metres: of rooms (Hypersim) and of streets (Virtual KITTI 2)."""

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_UNUSED = ("pretrained.mask_token",)


@dataclass(frozen=True)
class Size:
    """One of the sizes: transformer width, heads and blocks; decoder width and channels of its four levels;
    the blocks whose tokens the decoder of V1 and of V2 reads; whether the perceptrons are gated."""

    width: int
    heads: int
    depth: int
    features: int
    levels: tuple[int, int, int, int]
    hooks_v1: tuple[int, ...]
    hooks_v2: tuple[int, ...]
    gated: bool = False


SIZES = {
    384: Size(384, 6, 12, 64, (48, 96, 192, 384), (8, 9, 10, 11), (2, 5, 8, 11)),
    768: Size(768, 12, 12, 128, (96, 192, 384, 768), (8, 9, 10, 11), (2, 5, 8, 11)),
    1024: Size(1024, 16, 24, 256, (256, 512, 1024, 1024), (20, 21, 22, 23), (4, 11, 17, 23)),
    1536: Size(1536, 24, 40, 384, (1536, 1536, 1536, 1536), (36, 37, 38, 39), (9, 19, 29, 39), gated=True),
}
"""Small, Base, Large and Giant by their width."""


class _DepthScratch(Scratch):
    """farthest: in metres for a metric network, None for one that tells inverse depth."""

    def __init__(self, size: Size, farthest: float | None, ops: Ops) -> None:
        super().__init__(size.levels, size.features, ops)
        self.output_conv1 = ops.Conv2d(size.features, size.features // 2, 3, padding=1)
        self.farthest = farthest
        self.output_conv2 = nn.Sequential(
            ops.Conv2d(size.features // 2, 32, 3, padding=1), nn.ReLU(), ops.Conv2d(32, 1, 1)
        )

    def forward(self, levels: list[Tensor], size: tuple[int, int]) -> Tensor:
        x = self.depth_of(self.features_of(self.fuse(levels), size))
        return x.relu() if self.farthest is None else x.sigmoid() * self.farthest

    def features_of(self, fused: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, C, h, w) -> the features that depth is told of, (B, 32, *size)."""
        return self.output_conv2[:2](enlarge(self.output_conv1(fused), size))

    def depth_of(self, features: Tensor) -> Tensor:
        """(B, 32, H, W) -> (B, 1, H, W), of any sign."""
        return self.output_conv2[2](features)


class _DepthHead(nn.Module):
    def __init__(self, size: Size, farthest: float | None, ops: Ops) -> None:
        super().__init__()
        first, second, _, fourth = size.levels
        self.projects = nn.ModuleList(ops.Conv2d(size.width, channels, 1) for channels in size.levels)
        self.resize_layers = nn.ModuleList(
            [
                ops.ConvTranspose2d(first, first, 4, stride=4),
                ops.ConvTranspose2d(second, second, 2, stride=2),
                nn.Identity(),
                ops.Conv2d(fourth, fourth, 3, stride=2, padding=1),
            ]
        )
        self.scratch = _DepthScratch(size, farthest, ops)

    def forward(self, maps: list[Tensor], size: tuple[int, int]) -> Tensor:
        return self.scratch(self.levels(maps), size)

    def levels(self, maps: list[Tensor]) -> list[Tensor]:
        """The maps at the four sizes that are fused, finest first."""
        steps = zip(self.projects, self.resize_layers, maps, strict=True)
        return [resize(project(features)) for project, resize, features in steps]


class DepthAnything(nn.Module):
    """One of the sizes, reading the tokens of the blocks in `hooks`. farthest: in metres, of a metric network."""

    def __init__(
        self, size: Size, hooks: tuple[int, ...], grid: int = 37, ops: Ops = nn, farthest: float | None = None
    ) -> None:
        super().__init__()
        self.hooks = hooks
        self.pretrained = Dino(size, grid, ops)
        self.depth_head = _DepthHead(size, farthest, ops)

    def forward(self, images: Tensor) -> Tensor:
        """RGB (B, 3, H, W) in 0..1, H and W multiples of 14 -> depth (B, 1, H, W).

        Inverse depth, 0 or more, near is large; or the distance in metres, up to the farthest.
        """
        return self.depth_head(self.maps(images), (images.shape[2], images.shape[3]))

    def maps(self, images: Tensor) -> list[Tensor]:
        """RGB (B, 3, H, W) in 0..1 -> what the decoder reads of the transformer, four maps (B, width, H/14, W/14)."""
        mean, deviation = (images.new_tensor(values).view(3, 1, 1) for values in (_MEAN, _DEVIATION))
        return self.pretrained((images - mean) / deviation, self.hooks)


def _build(state_dict: Mapping[str, Any], version: int, ops: Ops, farthest: float | None = None) -> nn.Module:
    weights = {name: value for name, value in unwrap(state_dict).items() if name not in _UNUSED}
    positions = weights.get("pretrained.pos_embed")
    if positions is None or positions.shape[-1] not in SIZES:
        raise ValueError(
            "The file is not Depth Anything Small, Base, Large or Giant: it lacks their pretrained.pos_embed."
        )
    size = SIZES[positions.shape[-1]]
    hooks = size.hooks_v1 if version == 1 else size.hooks_v2
    grid = int((positions.shape[1] - 1) ** 0.5)
    return assemble(lambda: DepthAnything(size, hooks, grid, ops, farthest), weights)


def build_v1(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of `depth_anything_vits14.pth` and its relatives; the size is read from the weights."""
    return _build(state_dict, 1, ops)


def build_v2(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of `depth_anything_v2_vits.pth` and its relatives; the size is read from the weights."""
    return _build(state_dict, 2, ops)


def build_indoor(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of `depth_anything_v2_metric_hypersim_vits.pth` and its relatives, which have the names of V2's."""
    return _build(state_dict, 2, ops, INDOOR)


def build_outdoor(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of `depth_anything_v2_metric_vkitti_vits.pth` and its relatives, which have the names of V2's."""
    return _build(state_dict, 2, ops, OUTDOOR)
