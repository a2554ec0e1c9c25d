"""RTMPose: the points of one body in a crop of a picture, each as a distribution over columns and one over rows.

Sources: Jiang et al., "RTMPose" (arXiv 2303.07399); Lyu et al., "RTMDet" (arXiv 2212.07784) for its backbone CSPNeXt;
Li et al., "SimCC" (arXiv 2107.03332); Hua et al., "Transformer Quality in Linear Time" (arXiv 2202.10447) for the gated
attention unit; the weight names of mmpose's checkpoints, among them DWPose's `dw-ll_ucoco_384.pth`. Widths, depths, the
number of points and the size of the crop are read from the shapes, so that every size fits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...storage.onnx_file import read_onnx
from .blocks.batch_norm import fold_named_batch_norms
from .blocks.csp import ConvSiLU, PyramidPooling
from .official import Ops, assemble, channels_last, unwrap
from .onnx_weights import name_weights, weights_in_order
from .renaming import count

SPLIT = 2
"""Bins of a distribution per pixel of the crop."""
_STRIDE = 32
_EPSILON = 1e-5
_MEAN, _DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""In 0..255, red, green, blue."""


@dataclass(frozen=True)
class Plan:
    """The sizes of a network.

    stem: channels of the first layers. blocks: of each stage of the backbone. points: of a body. kernel: of the last
    convolution. hidden: numbers that describe a point; key: of them, what attention compares. height, width: of the
    crop, in pixels.
    """

    stem: int
    blocks: tuple[int, ...]
    points: int
    kernel: int
    hidden: int
    key: int
    height: int
    width: int


WHOLE_BODY = Plan(64, (3, 6, 6, 3), points=133, kernel=7, hidden=256, key=128, height=384, width=288)
"""DWPose's `dw-ll_ucoco_384`: the large size."""
ANIMAL = Plan(48, (2, 4, 4, 2), points=17, kernel=7, hidden=256, key=128, height=256, width=256)
"""`rtmpose-m_ap10k_256`: the medium size."""


class _Separable(nn.Module):
    """A convolution of each channel alone, and one of each point alone."""

    def __init__(self, width: int, kernel: int, ops: Ops) -> None:
        super().__init__()
        self.depthwise_conv = ConvSiLU(width, width, kernel, ops, groups=width)
        self.pointwise_conv = ConvSiLU(width, width, 1, ops)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise_conv(self.depthwise_conv(x))


class _Block(nn.Module):
    def __init__(self, width: int, shortcut: bool, ops: Ops) -> None:
        super().__init__()
        self.shortcut = shortcut
        self.conv1 = ConvSiLU(width, width, 3, ops)
        self.conv2 = _Separable(width, 5, ops)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.conv1(x))
        return y + x if self.shortcut else y


class _Attention(nn.Module):
    """A gate for each channel, from the mean of all channels."""

    def __init__(self, width: int, ops: Ops) -> None:
        super().__init__()
        self.fc = ops.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * nn.functional.hardsigmoid(self.fc(x.mean((2, 3), keepdim=True)))


class _CSP(nn.Module):
    """Half of the channels pass blocks, the other half goes around them."""

    def __init__(self, width: int, blocks: int, shortcut: bool, ops: Ops) -> None:
        super().__init__()
        half = width // 2
        self.main_conv = ConvSiLU(width, half, 1, ops)
        self.short_conv = ConvSiLU(width, half, 1, ops)
        self.final_conv = ConvSiLU(width, width, 1, ops)
        self.blocks = nn.Sequential(*(_Block(half, shortcut, ops) for _ in range(blocks)))
        self.attention = _Attention(width, ops)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([self.blocks(self.main_conv(x)), self.short_conv(x)], dim=1)
        return self.final_conv(self.attention(both))


class CSPNeXt(nn.Module):
    """(B, 3, H, W) -> (B, 16 x width, H / 32, W / 32). width: channels of the stem. blocks: of each of four stages."""

    def __init__(self, width: int, blocks: tuple[int, ...], ops: Ops) -> None:
        super().__init__()
        half = width // 2
        self.stem = nn.Sequential(
            ConvSiLU(3, half, 3, ops, stride=2), ConvSiLU(half, half, 3, ops), ConvSiLU(half, width, 3, ops)
        )
        self.stages = [f"stage{number}" for number in range(1, len(blocks) + 1)]
        for name, number in zip(self.stages, blocks, strict=True):
            last = name == self.stages[-1]
            pool = [PyramidPooling(2 * width, 2 * width, ops)] if last else []
            csp = _CSP(2 * width, number, not last, ops)
            self.add_module(name, nn.Sequential(ConvSiLU(width, 2 * width, 3, ops, stride=2), *pool, csp))
            width *= 2

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        for name in self.stages:
            x = self.get_submodule(name)(x)
        return x


class _ScaleNorm(nn.Module):
    """Vectors brought to the root mean square g."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = width**-0.5
        self.g = nn.Parameter(torch.empty(1))

    def forward(self, x: Tensor) -> Tensor:
        # In single precision: the squares of a hundred large numbers are beyond half precision.
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32) * self.scale
        return x / norm.clamp(min=_EPSILON).to(x.dtype) * self.g.to(x)


class _Scale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale.to(x)


class _GatedAttention(nn.Module):
    """Every point asks all points, with the squares of positive agreement in place of a softmax."""

    def __init__(self, width: int, key: int, ops: Ops) -> None:
        super().__init__()
        self.parts = [2 * width, 2 * width, key]
        self.gamma = nn.Parameter(torch.empty(2, key))
        self.beta = nn.Parameter(torch.empty(2, key))
        self.o = ops.Linear(2 * width, width, bias=False)
        self.uv = ops.Linear(width, sum(self.parts), bias=False)
        self.ln = _ScaleNorm(width)
        self.res_scale = _Scale(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, points, width) -> the same."""
        return self.res_scale(x) + self.o(self._attend(nn.functional.silu(self.uv(self.ln(x)))))

    def _attend(self, values: Tensor) -> Tensor:
        gate, value, base = torch.split(values, self.parts, dim=2)
        both = base.unsqueeze(2) * self.gamma.to(base) + self.beta.to(base)
        query, key = both.unbind(2)
        # Their squares are beyond half precision.
        agreement = query.float() @ key.float().transpose(1, 2) * self.parts[2] ** -0.5
        return gate * (agreement.relu().square() @ value.float()).to(gate)


class _Head(nn.Module):
    def __init__(self, channels: int, plan: Plan, ops: Ops) -> None:
        super().__init__()
        self.final_layer = ops.Conv2d(channels, plan.points, plan.kernel, padding=plan.kernel // 2)
        cells = (plan.height // _STRIDE) * (plan.width // _STRIDE)
        self.mlp = nn.Sequential(_ScaleNorm(cells), ops.Linear(cells, plan.hidden, bias=False))
        self.gau = _GatedAttention(plan.hidden, plan.key, ops)
        self.cls_x = ops.Linear(plan.hidden, SPLIT * plan.width, bias=False)
        self.cls_y = ops.Linear(plan.hidden, SPLIT * plan.height, bias=False)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        x = self.gau(self.mlp(self.final_layer(features).flatten(2)))
        return self.cls_x(x), self.cls_y(x)


class RTMPose(nn.Module):
    """One network for a body of any number of points. height, width: of the crop that it sees, in pixels."""

    def __init__(self, plan: Plan, ops: Ops = nn) -> None:
        super().__init__()
        self.height, self.width = plan.height, plan.width
        self.backbone = CSPNeXt(plan.stem, plan.blocks, ops)
        self.head = _Head(plan.stem << len(plan.blocks), plan, ops)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Crops (B, 3, height, width) as `normalize` gives them -> distributions of every point.

        Over columns (B, points, 2 x width), and over rows (B, points, 2 x height).
        """
        return self.head(self.backbone(crops))


def normalize(crops: Tensor) -> Tensor:
    """Red, green and blue (B, 3, H, W) in 0..1 as the network was trained to see them."""
    mean, deviation = (crops.new_tensor(values)[:, None, None] for values in (_MEAN, _DEVIATION))
    return (crops * 255 - mean) / deviation


def build(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of a checkpoint of mmpose or DWPose, with or without its batch normalizations."""
    weights = fold_named_batch_norms(_student(unwrap(state_dict)), _EPSILON)
    return channels_last(assemble(lambda: RTMPose(_plan(weights), ops), weights))


def _student(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of backbone and head, without what only training needs, such as the teacher of a distillation."""
    plain = {name.removeprefix("student."): value for name, value in weights.items()}
    return {name: value for name, value in plain.items() if name.startswith(("backbone.", "head."))}


def _plan(weights: Mapping[str, Tensor]) -> Plan:
    points, _, kernel, _ = weights["head.final_layer.weight"].shape
    stages = count(weights, r"^backbone\.stage(\d+)\.") - 1
    layers = [2 if stage == stages else 1 for stage in range(1, stages + 1)]
    blocks = (
        count(weights, rf"^backbone\.stage{stage}\.{layer}\.blocks\.(\d+)\.") for stage, layer in enumerate(layers, 1)
    )
    return Plan(
        stem=len(weights["backbone.stem.2.conv.weight"]),
        blocks=tuple(blocks),
        points=points,
        kernel=kernel,
        hidden=len(weights["head.mlp.1.weight"]),
        key=weights["head.gau.gamma"].shape[1],
        height=len(weights["head.cls_y.weight"]) // SPLIT,
        width=len(weights["head.cls_x.weight"]) // SPLIT,
    )


def build_onnx(path: Path, ops: Ops = nn) -> nn.Module:
    """The network of `dw-ll_ucoco_384.onnx` or `rtmpose-m_ap10k_256.onnx`. Raises ValueError for another one."""
    graph = read_onnx(path)
    first = next(weights_in_order(graph), None)
    plan = ANIMAL if first is not None and 2 * len(first) == ANIMAL.stem else WHOLE_BODY
    return channels_last(assemble(lambda: RTMPose(plan, ops), name_weights(graph, lambda: RTMPose(plan))))
