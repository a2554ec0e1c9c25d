"""The vision transformer (Dosovitskiy et al., arXiv 2010.11929) with the weight names of timm and DINOv2."""

import torch
from torch import Tensor, nn

from ..official import Ops


class Attention(nn.Module):
    """Self-attention over all tokens."""

    def __init__(self, width: int, heads: int, ops: Ops) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = ops.Linear(width, 3 * width)
        self.proj = ops.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two linear layers with GELU between."""

    def __init__(self, width: int, ops: Ops) -> None:
        super().__init__()
        self.fc1 = ops.Linear(width, 4 * width)
        self.fc2 = ops.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(nn.functional.gelu(self.fc1(x)))


class SwiGlu(nn.Module):
    """Two linear layers, the first gated by SiLU of its other half (Shazeer, arXiv 2002.05202), as wide as DINOv2's.

    Its hidden layer has two thirds of the usual width, rounded up to a multiple of 8.
    """

    def __init__(self, width: int, ops: Ops) -> None:
        super().__init__()
        hidden = (4 * width * 2 // 3 + 7) // 8 * 8
        self.w12 = ops.Linear(width, 2 * hidden)
        self.w3 = ops.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.w12(x).chunk(2, dim=-1)
        return self.w3(nn.functional.silu(gate) * value)


class LayerScale(nn.Module):
    """A factor for each channel of a residual branch (Touvron et al., arXiv 2103.17239)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma.to(x)


class Block(nn.Module):
    """One layer of the transformer, normalized before each branch. gated: with `SwiGlu` in place of `Mlp`."""

    def __init__(self, width: int, heads: int, ops: Ops, layer_scale: bool = False, gated: bool = False) -> None:
        super().__init__()
        self.norm1 = ops.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads, ops)
        self.ls1 = LayerScale(width) if layer_scale else nn.Identity()
        self.norm2 = ops.LayerNorm(width, eps=1e-6)
        self.mlp = SwiGlu(width, ops) if gated else Mlp(width, ops)
        self.ls2 = LayerScale(width) if layer_scale else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


def with_positions(patches: Tensor, class_token: Tensor, positions: Tensor, grid: Tensor) -> Tensor:
    """Tokens with their positions, the class token first: (B, 1 + h w, C).

    patches: (B, C, h, w); class_token: (1, 1, C); positions: (1, 1 + n, C), of which the first is the class token's;
    grid: (1, C, h, w), the positions of the patches at the size of this picture.
    """
    tokens = (patches + grid.to(patches)).flatten(2).transpose(1, 2)
    first = (class_token + positions[:, :1]).to(tokens).expand(len(tokens), -1, -1)
    return torch.cat([first, tokens], dim=1)


def position_grid(positions: Tensor) -> Tensor:
    """The positions (1, 1 + n n, C) of a square of patches as a map (1, C, n, n) in float32."""
    side = int((positions.shape[1] - 1) ** 0.5)
    return positions[:, 1:].float().transpose(1, 2).unflatten(2, (side, side))
