"""DINOv2, a vision transformer for many tasks (Oquab et al., arXiv 2304.07193), with its authors' weight names."""

from typing import Protocol

import torch
from torch import Tensor, nn

from ..official import Ops
from .vit import Block, position_grid, with_positions

PATCH = 14
"""Pixels of the side of one token's piece of the picture."""


class DinoSize(Protocol):
    """Width, heads and blocks of one of the sizes; whether its perceptrons are gated."""

    @property
    def width(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def depth(self) -> int: ...
    @property
    def gated(self) -> bool: ...


class _PatchEmbedding(nn.Module):
    def __init__(self, width: int, ops: Ops) -> None:
        super().__init__()
        self.proj = ops.Conv2d(3, width, PATCH, stride=PATCH)


class Dino(nn.Module):
    """DINOv2 without registers. `offset`: cells added to the size when positions are enlarged, as it was trained."""

    def __init__(self, size: DinoSize, grid: int, ops: Ops, offset: float = 0.1) -> None:
        super().__init__()
        self.grid, self.offset = grid, offset
        self.cls_token = nn.Parameter(torch.empty(1, 1, size.width))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + grid**2, size.width))
        self.patch_embed = _PatchEmbedding(size.width, ops)
        self.blocks = nn.ModuleList(
            Block(size.width, size.heads, ops, layer_scale=True, gated=size.gated) for _ in range(size.depth)
        )
        self.norm = ops.LayerNorm(size.width, eps=1e-6)

    def _positions(self, height: int, width: int) -> Tensor:
        positions = position_grid(self.pos_embed)
        if height == width == self.grid:
            return positions
        factors = (height + self.offset) / self.grid, (width + self.offset) / self.grid
        return nn.functional.interpolate(positions, scale_factor=factors, mode="bicubic")

    def forward(self, images: Tensor, hooks: tuple[int, ...]) -> list[Tensor]:
        """(B, 3, H, W) -> maps (B, width, H/14, W/14) after the blocks of `hooks`."""
        patches = self.patch_embed.proj(images)
        grid = patches.shape[2:]
        tokens = with_positions(patches, self.cls_token, self.pos_embed, self._positions(*grid))
        maps = []
        for index, block in enumerate(self.blocks):
            tokens = block(tokens)
            if index in hooks:
                maps.append(self.norm(tokens)[:, 1:].transpose(1, 2).unflatten(2, grid))
        return maps
