"""YOLOX: finds things of 80 kinds in a picture, each with a box; people among them.

Sources: Ge et al., "YOLOX" (arXiv 2107.08430); the weight names of Megvii's `yolox_l.pth`, whose other sizes (s, m, x)
fit as well: widths and depths are read from the shapes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...storage.onnx_file import read_onnx
from .blocks.batch_norm import fold_named_batch_norms
from .blocks.csp import ConvSiLU, PyramidPooling
from .official import Ops, assemble, channels_last, unwrap
from .onnx_weights import name_weights
from .renaming import count

STRIDES = (8, 16, 32)
"""Pixels of the picture per cell of each level."""
_LARGE = (64, 3, 80)
"""Width, depth and classes of the large size."""
_EPSILON = 1e-3
"""YOLOX sets it so for all of its batch normalizations."""


class _Bottleneck(nn.Module):
    def __init__(self, width: int, shortcut: bool, ops: Ops) -> None:
        super().__init__()
        self.shortcut = shortcut
        self.conv1 = ConvSiLU(width, width, 1, ops)
        self.conv2 = ConvSiLU(width, width, 3, ops)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.conv1(x))
        return y + x if self.shortcut else y


class _CSP(nn.Module):
    """Half of the channels pass bottlenecks, the other half goes around them."""

    def __init__(self, channels: int, width: int, blocks: int, shortcut: bool, ops: Ops) -> None:
        super().__init__()
        half = width // 2
        self.conv1 = ConvSiLU(channels, half, 1, ops)
        self.conv2 = ConvSiLU(channels, half, 1, ops)
        self.conv3 = ConvSiLU(2 * half, width, 1, ops)
        self.m = nn.Sequential(*(_Bottleneck(half, shortcut, ops) for _ in range(blocks)))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(torch.cat([self.m(self.conv1(x)), self.conv2(x)], dim=1))


class _Focus(nn.Module):
    """Every square of four pixels becomes one point with four times the channels, column by column."""

    def __init__(self, width: int, ops: Ops) -> None:
        super().__init__()
        self.conv = ConvSiLU(12, width, 3, ops)

    def forward(self, images: Tensor) -> Tensor:
        corners = [images[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.conv(torch.cat(corners, dim=1))


class _Darknet(nn.Module):
    def __init__(self, width: int, depth: int, ops: Ops) -> None:
        super().__init__()
        self.stem = _Focus(width, ops)
        for stage, blocks in enumerate((depth, 3 * depth, 3 * depth, depth), 2):
            last = stage == 5
            pool = [PyramidPooling(2 * width, 2 * width, ops)] if last else []
            csp = _CSP(2 * width, 2 * width, blocks, not last, ops)
            stage_layers = nn.Sequential(ConvSiLU(width, 2 * width, 3, ops, stride=2), *pool, csp)
            self.add_module(f"dark{stage}", stage_layers)
            width *= 2

    def forward(self, images: Tensor) -> list[Tensor]:
        x = self.get_submodule("dark2")(self.stem(images))
        maps = []
        for stage in (3, 4, 5):
            x = self.get_submodule(f"dark{stage}")(x)
            maps.append(x)
        return maps


class _Pyramid(nn.Module):
    """The backbone's three maps, each with what the coarser and then the finer ones know."""

    def __init__(self, width: int, depth: int, ops: Ops) -> None:
        super().__init__()
        fine, middle, coarse = (factor * width for factor in (4, 8, 16))
        self.backbone = _Darknet(width, depth, ops)
        self.lateral_conv0 = ConvSiLU(coarse, middle, 1, ops)
        self.C3_p4 = _CSP(2 * middle, middle, depth, False, ops)
        self.reduce_conv1 = ConvSiLU(middle, fine, 1, ops)
        self.C3_p3 = _CSP(2 * fine, fine, depth, False, ops)
        self.bu_conv2 = ConvSiLU(fine, fine, 3, ops, stride=2)
        self.C3_n3 = _CSP(2 * fine, middle, depth, False, ops)
        self.bu_conv1 = ConvSiLU(middle, middle, 3, ops, stride=2)
        self.C3_n4 = _CSP(2 * middle, coarse, depth, False, ops)

    def forward(self, images: Tensor) -> list[Tensor]:
        fine, middle, coarse = self.backbone(images)
        coarse = self.lateral_conv0(coarse)
        middle = self.reduce_conv1(self.C3_p4(torch.cat([_doubled(coarse), middle], dim=1)))
        fine = self.C3_p3(torch.cat([_doubled(middle), fine], dim=1))
        middle = self.C3_n3(torch.cat([self.bu_conv2(fine), middle], dim=1))
        coarse = self.C3_n4(torch.cat([self.bu_conv1(middle), coarse], dim=1))
        return [fine, middle, coarse]


def _doubled(x: Tensor) -> Tensor:
    return nn.functional.interpolate(x, scale_factor=2, mode="nearest")


class _Head(nn.Module):
    def __init__(self, width: int, classes: int, ops: Ops) -> None:
        super().__init__()
        inner = 4 * width

        def branch() -> nn.Module:
            return nn.Sequential(ConvSiLU(inner, inner, 3, ops), ConvSiLU(inner, inner, 3, ops))

        levels = range(len(STRIDES))
        self.stems = nn.ModuleList(ConvSiLU(inner << level, inner, 1, ops) for level in levels)
        self.cls_convs = nn.ModuleList(branch() for _ in levels)
        self.reg_convs = nn.ModuleList(branch() for _ in levels)
        self.cls_preds = nn.ModuleList(ops.Conv2d(inner, classes, 1) for _ in levels)
        self.reg_preds = nn.ModuleList(ops.Conv2d(inner, 4, 1) for _ in levels)
        self.obj_preds = nn.ModuleList(ops.Conv2d(inner, 1, 1) for _ in levels)

    def forward(self, maps: list[Tensor]) -> Tensor:
        rows = []
        for level, x in enumerate(maps):
            x = self.stems[level](x)
            things, boxes = self.cls_convs[level](x), self.reg_convs[level](x)
            box, thing = self.reg_preds[level](boxes), self.obj_preds[level](boxes).sigmoid()
            kinds = self.cls_preds[level](things).sigmoid()
            rows.append(torch.cat([box, thing, kinds], dim=1).flatten(2))
        return torch.cat(rows, dim=2).transpose(1, 2)


class YOLOX(nn.Module):
    """width: channels of the stem, 64 of the large size. depth: bottlenecks of the first stage, 3 of the large size."""

    def __init__(self, width: int, depth: int, classes: int, ops: Ops = nn) -> None:
        super().__init__()
        self.backbone = _Pyramid(width, depth, ops)
        self.head = _Head(width, classes, ops)

    def forward(self, images: Tensor) -> tuple[Tensor]:
        """(B, 3, H, W) in 0..255, H and W multiples of 32 -> (B, cells, 5 + classes), the finest level first.

        Each row: the center's place in its cell, the logarithms of width and height, all in strides; how sure there is
        something, and how sure it is of each class, 0..1.
        """
        return (self.head(self.backbone(images)),)


def build(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of `yolox_l.pth`; with or without its batch normalizations."""
    weights = fold_named_batch_norms(unwrap(state_dict), _EPSILON)
    width = len(weights["backbone.backbone.stem.conv.conv.weight"])
    depth = count(weights, r"^backbone\.backbone\.dark2\.1\.m\.(\d+)\.")
    classes = len(weights["head.cls_preds.0.bias"])
    return channels_last(assemble(lambda: YOLOX(width, depth, classes, ops), weights))


def build_onnx(path: Path, ops: Ops = nn) -> nn.Module:
    """The network of `yolox_l.onnx`. Raises ValueError for another one."""
    weights = name_weights(read_onnx(path), lambda: YOLOX(*_LARGE))
    return channels_last(assemble(lambda: YOLOX(*_LARGE, ops), weights))
