"""Layers along the time of a video: each point of the picture looks at itself in all frames.

Guo et al., "AnimateDiff" (arXiv 2307.04725), section 4.2; module names of guoyww/AnimateDiff `motion_module.py`. Its
normalisation is of each frame for itself; diffusers' `AnimateDiffTransformer3D` normalises all frames together.
"""

import torch
from torch import Tensor, nn

from .blocks import FeedForward, Parts, Pass, Projections

HEADS = 8


class FrameNumbers(nn.Module):
    """The sinusoids that tell frames apart, as stored: (1, frames, channels)."""

    def __init__(self, frames: int, channels: int) -> None:
        super().__init__()
        self.pe = nn.Parameter(torch.empty(1, frames, channels))


class TemporalAttention(Projections):
    """Self-attention over the frames."""

    def __init__(self, channels: int, frames: int, parts: Parts) -> None:
        super().__init__(channels, channels, parts.ops)
        self.pos_encoder = FrameNumbers(frames, channels)
        self.attention = parts.attention

    def forward(self, x: Tensor, flow: Pass) -> Tensor:
        """(B, frames, channels) -> the same."""
        x = x + self.pos_encoder.pe[:, : x.shape[1]].to(x)
        return self.to_out(self.attention(self.to_q(x), self.to_k(x), self.to_v(x), HEADS))


class TemporalLayer(nn.Module):
    """Attention over the frames and a feed-forward part, both as residuals."""

    def __init__(self, channels: int, frames: int, parts: Parts) -> None:
        super().__init__()
        self.attention_blocks = nn.ModuleList([TemporalAttention(channels, frames, parts)])
        self.norms = nn.ModuleList([parts.ops.LayerNorm(channels)])
        self.ff = FeedForward(channels, parts.ops)
        self.ff_norm = parts.ops.LayerNorm(channels)

    def forward(self, x: Tensor, flow: Pass) -> Tensor:
        for norm, attention in zip(self.norms, self.attention_blocks, strict=True):
            x = x + attention(norm(x), flow)
        return x + self.ff(self.ff_norm(x))


class TemporalTransformer(nn.Module):
    """One such layer between two projections."""

    def __init__(self, channels: int, frames: int, parts: Parts) -> None:
        super().__init__()
        self.norm = parts.ops.GroupNorm(32, channels, eps=1e-6)
        self.proj_in = parts.ops.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList([TemporalLayer(channels, frames, parts)])
        self.proj_out = parts.ops.Linear(channels, channels)

    def forward(self, x: Tensor, flow: Pass) -> Tensor:
        """(videos * frames, C, H, W) -> the same."""
        height, width = x.shape[-2:]
        h = self.norm(x).unflatten(0, (-1, flow.frames)).permute(0, 3, 4, 1, 2).flatten(0, 2)  # (videos H W, frames, C)
        h = self.proj_in(h)
        for layer in self.transformer_blocks:
            h = layer(h, flow)
        h = self.proj_out(h).unflatten(0, (-1, height, width)).permute(0, 3, 4, 1, 2)
        return x + h.flatten(0, 1)


class TemporalModule(nn.Module):
    """AnimateDiff's temporal module after a block of an encoder. frames: length of the longest video."""

    def __init__(self, channels: int, frames: int, parts: Parts) -> None:
        super().__init__()
        self.temporal_transformer = TemporalTransformer(channels, frames, parts)

    def forward(self, x: Tensor, flow: Pass) -> Tensor:
        return self.temporal_transformer(x, flow)
