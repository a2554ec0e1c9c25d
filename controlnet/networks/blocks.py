"""The building blocks of Stable Diffusion's encoder, in the LDM layout of module names.

Rows of a batch are [group 0, group 1, ...] (cond, uncond). While nothing differs between the groups yet, a block
works on the rows of one group only; `repeat_rows` widens where the first difference enters.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from .layers import Attention, Ops, match_rows, repeat_rows

KeysValues = tuple[Tensor, Tensor]
"""Projected context of one cross-attention: two tensors (rows, tokens, channels)."""


@dataclass(frozen=True)
class Parts:
    """The layers and sizes that blocks are built from."""

    ops: Ops
    attention: Attention
    context_dim: int | None
    linear_projection: bool


@dataclass(frozen=True)
class Pass:
    """The inputs of every block besides the feature map: they are the same through one evaluation."""

    emb: Tensor
    """SiLU of the time (and label) embedding: (1, E), (group, E) or (rows, E)."""
    projected: Sequence[KeysValues]
    """Keys and values of every cross-attention, by the layer's index."""
    rows: int
    frames: int = 1
    """Rows in a group: the frames of a video, for layers along the time."""


class ResBlock(nn.Module):
    """Residual block conditioned on the time embedding (GroupNorm 32, SiLU, 3x3)."""

    def __init__(self, channels: int, out_channels: int, time_channels: int, ops: Ops) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            ops.GroupNorm(32, channels), nn.SiLU(), ops.Conv2d(channels, out_channels, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), ops.Linear(time_channels, out_channels))
        self.out_layers = nn.Sequential(
            ops.GroupNorm(32, out_channels),
            nn.SiLU(),
            nn.Dropout(0.0),
            ops.Conv2d(out_channels, out_channels, 3, padding=1),
        )
        same = channels == out_channels
        self.skip_connection = nn.Identity() if same else ops.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor, flow: Pass) -> Tensor:
        emb = self.emb_layers[1](flow.emb)
        h = repeat_rows(self.in_layers(x), max(emb.shape[0], x.shape[0]))
        h = h + match_rows(emb, h.shape[0])[:, :, None, None]
        return repeat_rows(self.skip_connection(x), h.shape[0]) + self.out_layers(h)


class Downsample(nn.Module):
    """Halve the picture with a strided convolution."""

    def __init__(self, channels: int, ops: Ops) -> None:
        super().__init__()
        self.op = ops.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor, flow: Pass) -> Tensor:
        return self.op(x)


class Projections(nn.Module):
    """The four projections of an attention layer; the product itself is injected."""

    def __init__(self, channels: int, context_dim: int, ops: Ops) -> None:
        super().__init__()
        self.to_q = ops.Linear(channels, channels, bias=False)
        self.to_k = ops.Linear(context_dim, channels, bias=False)
        self.to_v = ops.Linear(context_dim, channels, bias=False)
        self.to_out = nn.Sequential(ops.Linear(channels, channels), nn.Dropout(0.0))


class GatedLinear(nn.Module):
    """GEGLU (Shazeer 2020): one projection gives values and their GELU gates."""

    def __init__(self, channels: int, out_channels: int, ops: Ops) -> None:
        super().__init__()
        self.proj = ops.Linear(channels, 2 * out_channels)

    def forward(self, x: Tensor) -> Tensor:
        values, gates = self.proj(x).chunk(2, dim=-1)
        return values * nn.functional.gelu(gates)


class FeedForward(nn.Module):
    """The transformer's feed-forward part, four times as wide inside."""

    def __init__(self, channels: int, ops: Ops) -> None:
        super().__init__()
        wide = 4 * channels
        self.net = nn.Sequential(GatedLinear(channels, wide, ops), nn.Dropout(0.0), ops.Linear(wide, channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class TransformerLayer(nn.Module):
    """Self-attention, cross-attention to the prompt, feed-forward."""

    def __init__(self, channels: int, heads: int, index: int, parts: Parts) -> None:
        super().__init__()
        ops, context_dim = parts.ops, parts.context_dim or channels
        self.norm1, self.norm2, self.norm3 = (ops.LayerNorm(channels) for _ in range(3))
        self.attn1 = Projections(channels, channels, ops)
        self.attn2 = Projections(channels, context_dim, ops)
        self.ff = FeedForward(channels, ops)
        self.heads, self.index, self.attention = heads, index, parts.attention

    def project(self, context: Tensor) -> KeysValues:
        """Keys and values of the prompt: (rows, tokens, context_dim) -> two (rows, tokens, channels)."""
        return self.attn2.to_k(context), self.attn2.to_v(context)

    def forward(self, x: Tensor, flow: Pass) -> Tensor:
        own, cross = self.attn1, self.attn2
        n = self.norm1(x)
        attended = self.attention(own.to_q(n), own.to_k(n), own.to_v(n), self.heads)
        x = x + own.to_out(attended)
        q = repeat_rows(cross.to_q(self.norm2(x)), flow.rows)
        keys, values = flow.projected[self.index]
        attended = self.attention(q, keys, values, self.heads)
        x = repeat_rows(x, flow.rows) + cross.to_out(attended)
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    """Transformer layers over the pixels of a feature map, as a residual."""

    def __init__(self, channels: int, heads: int, layers: Sequence[int], parts: Parts) -> None:
        """layers: indices of the transformer layers within the whole network, one for each layer."""
        super().__init__()
        ops = parts.ops
        self.linear = parts.linear_projection
        project = (lambda: ops.Linear(channels, channels)) if self.linear else lambda: ops.Conv2d(channels, channels, 1)
        self.norm = ops.GroupNorm(32, channels, eps=1e-6)
        self.proj_in = project()
        self.transformer_blocks = nn.ModuleList(TransformerLayer(channels, heads, index, parts) for index in layers)
        self.proj_out = project()

    def forward(self, x: Tensor, flow: Pass) -> Tensor:
        height, width = x.shape[-2:]
        h = self.norm(x)
        if not self.linear:
            h = self.proj_in(h)
        h = h.flatten(2).transpose(1, 2).contiguous()  # BCHW -> B(HW)C
        if self.linear:
            h = self.proj_in(h)
        for layer in self.transformer_blocks:
            h = layer(h, flow)
        if self.linear:
            h = self.proj_out(h)
        h = h.transpose(1, 2).unflatten(2, (height, width)).contiguous()
        if not self.linear:
            h = self.proj_out(h)
        return repeat_rows(x, h.shape[0]) + h


class Stage(nn.ModuleList):
    """Blocks in a row, numbered as the LDM state dict numbers them."""

    def forward(self, x: Tensor, flow: Pass) -> Tensor:
        for block in self:
            x = block(x, flow)
        return x
