"""MiDaS 3.0 DPT-Hybrid: relative depth from one picture, the network of ControlNet's depth and normal annotators.

Sources: Ranftl et al., "Vision Transformers for Dense Prediction" (arXiv 2103.13413); weight names of
`dpt_hybrid-midas-501f0c75.pt` (isl-org/MiDaS, MIT).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .blocks.dpt import Scratch, enlarge
from .blocks.hybrid_backbone import HybridBackbone, standardise
from .blocks.vit import Block, position_grid, with_positions
from .official import Ops, assemble, channels_last, unwrap

MULTIPLE = 32
"""Sides of the pictures the network takes are multiples of this."""

_WIDTH, _HEADS, _DEPTH = 768, 12, 12
_TRAINED_GRID = 24
_HOOKS = (8, 11)
_UNUSED = ("pretrained.model.head.", "pretrained.model.norm.")


class _PatchEmbedding(nn.Module):
    def __init__(self, ops: Ops) -> None:
        super().__init__()
        self.backbone = HybridBackbone(ops)
        self.proj = ops.Conv2d(1024, _WIDTH, 1)


class _Transformer(nn.Module):
    def __init__(self, ops: Ops) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.empty(1, 1, _WIDTH))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + _TRAINED_GRID**2, _WIDTH))
        self.patch_embed = _PatchEmbedding(ops)
        self.blocks = nn.ModuleList(Block(_WIDTH, _HEADS, ops) for _ in range(_DEPTH))

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """(B, 3, H, W) -> two maps of the backbone, and the tokens (B, 1 + HW/256, 768) after blocks 8 and 11."""
        fine, middle, coarse = self.patch_embed.backbone(x)
        patches = self.patch_embed.proj(coarse)
        grid = nn.functional.interpolate(position_grid(self.pos_embed), size=patches.shape[2:], mode="bilinear")
        tokens = with_positions(patches, self.cls_token, self.pos_embed, grid)
        hooked = []
        for index, block in enumerate(self.blocks):
            tokens = block(tokens)
            if index in _HOOKS:
                hooked.append(tokens)
        return [fine, middle], hooked


class _Readout(nn.Module):
    """Mixes the class token into every patch."""

    def __init__(self, ops: Ops) -> None:
        super().__init__()
        self.project = nn.Sequential(ops.Linear(2 * _WIDTH, _WIDTH), nn.GELU())

    def forward(self, tokens: Tensor) -> Tensor:
        patches = tokens[:, 1:]
        return self.project(torch.cat([patches, tokens[:, :1].expand_as(patches)], dim=-1))


class _Pretrained(nn.Module):
    def __init__(self, ops: Ops) -> None:
        super().__init__()
        self.model = _Transformer(ops)
        # The places between are the official network's reshapes, which have no weights.
        self.act_postprocess3 = nn.ModuleDict({"0": _Readout(ops), "3": ops.Conv2d(_WIDTH, _WIDTH, 1)})
        self.act_postprocess4 = nn.ModuleDict(
            {
                "0": _Readout(ops),
                "3": ops.Conv2d(_WIDTH, _WIDTH, 1),
                "4": ops.Conv2d(_WIDTH, _WIDTH, 3, stride=2, padding=1),
            }
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Four levels at 1/4, 1/8, 1/16 and 1/32 of the size."""
        grid = x.shape[2] // 16, x.shape[3] // 16
        levels, (third, fourth) = self.model(x)

        def as_map(steps: nn.ModuleDict, tokens: Tensor) -> Tensor:
            return steps["3"](steps["0"](tokens).transpose(1, 2).unflatten(2, grid))

        coarsest = self.act_postprocess4["4"](as_map(self.act_postprocess4, fourth))
        return [*levels, as_map(self.act_postprocess3, third), coarsest]


class _MidasScratch(Scratch):
    def __init__(self, ops: Ops) -> None:
        super().__init__((256, 512, _WIDTH, _WIDTH), 256, ops)
        self.output_conv = nn.ModuleDict(
            {
                "0": ops.Conv2d(256, 128, 3, padding=1),
                "2": ops.Conv2d(128, 32, 3, padding=1),
                "4": ops.Conv2d(32, 1, 1),
            }
        )

    def forward(self, levels: list[Tensor]) -> Tensor:
        x = self.output_conv["0"](self.fuse(levels))
        x = enlarge(x, (2 * x.shape[2], 2 * x.shape[3]))
        return self.output_conv["4"](self.output_conv["2"](x).relu_()).relu_()


class Midas(nn.Module):
    """DPT-Hybrid."""

    def __init__(self, ops: Ops = nn) -> None:
        super().__init__()
        self.pretrained = _Pretrained(ops)
        self.scratch = _MidasScratch(ops)

    def forward(self, images: Tensor) -> Tensor:
        """RGB (B, 3, H, W) in 0..1, H and W multiples of 32 -> inverse depth (B, 1, H, W), 0 or more, near is large."""
        return self.scratch(self.pretrained(2 * images - 1))


def build(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of `dpt_hybrid-midas-501f0c75.pt`, without the classifier that depth does not use."""
    weights = {name: value for name, value in unwrap(state_dict).items() if not name.startswith(_UNUSED)}
    for name, value in weights.items():
        if ".backbone." in name and value.dim() == 4:
            weights[name] = standardise(value)
    return channels_last(assemble(lambda: Midas(ops), weights))
