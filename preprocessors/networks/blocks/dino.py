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
    """DINOv2, with registers or without (Darcet et al., arXiv 2309.16588).

    offset: cells added to the size when positions are enlarged, as it was trained.
    """

    def __init__(self, size: DinoSize, grid: int, ops: Ops, offset: float = 0.1, registers: int = 0) -> None:
        super().__init__()
        self.grid, self.offset = grid, offset
        self.register_tokens = nn.Parameter(torch.empty(1, registers, size.width)) if registers else None
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

    def tokens(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) -> the tokens that the first block reads: of the class, the registers, and the patches."""
        patches = self.patch_embed.proj(images)
        tokens = with_positions(patches, self.cls_token, self.pos_embed, self._positions(*patches.shape[2:]))
        if self.register_tokens is None:
            return tokens
        registers = self.register_tokens.to(tokens).expand(len(tokens), -1, -1)
        return torch.cat([tokens[:, :1], registers, tokens[:, 1:]], dim=1)

    def forward(self, images: Tensor, hooks: tuple[int, ...]) -> list[Tensor]:
        """(B, 3, H, W) -> maps (B, width, H/14, W/14) after the blocks of `hooks`."""
        grid = images.shape[2] // PATCH, images.shape[3] // PATCH
        tokens = self.tokens(images)
        maps = []
        for index, block in enumerate(self.blocks):
            tokens = block(tokens)
            if index in hooks:
                maps.append(self.norm(tokens)[:, 1:].transpose(1, 2).unflatten(2, grid))
        return maps
