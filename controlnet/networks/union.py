"""The union ControlNet of xinsir (ControlNetPlus): one network for several kinds of hint.

Reference: diffusers `ControlNetUnionModel`. Two things are added to the plain network. The kinds in use are given to
the time embedding. Each embedded hint is shifted by a vector that a small transformer makes of its mean and of a
learned vector for its kind; the shifted hints are summed.

The reference hands its transformer tokens as (picture, token, channel) where its attention expects the sequence
first. It therefore attends over the rows of the batch, and not over the tokens. All rows of one picture hold the same
hint, so attention gives back each token's own value; with several pictures it would mix unrelated ones, so that a
picture depended on its neighbours in the batch. Here every token gets its own value: equal to the reference for one
picture, and a batch equals its pictures one by one. The reference's extra token of the noisy latent is then read by
nobody, and the fused hint does not depend on the step: it is computed once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .controlnet import ControlNet, Inputs
from .dimensions import Dimensions
from .layers import Attention, Ops, timestep_embedding, torch_attention

UNION_TYPES = ("openpose", "depth", "soft edges", "lines", "normal", "segment", "tile", "repaint")
"""Kinds of hint by number; xinsir's first union file knows six of them, ProMax all eight."""

TYPE_EMBEDDING_WIDTH = 256


@dataclass(frozen=True)
class UnionHint:
    """hint: (B, 3, 8h, 8w). type: index into UNION_TYPES. strength: of this hint among several."""

    hint: Tensor
    type: int
    strength: float = 1.0


class TokenAttention(nn.Module):
    """The reference's attention over equal rows: value and output projection (see the module's text)."""

    def __init__(self, channels: int, ops: Ops) -> None:
        super().__init__()
        self.in_proj = ops.Linear(channels, 3 * channels)
        self.out_proj = ops.Linear(channels, channels)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out_proj(self.in_proj(tokens).chunk(3, dim=-1)[2])


class TokenBlock(nn.Module):
    """A CLIP-like transformer block on single tokens: (B, channels) -> (B, channels)."""

    def __init__(self, channels: int, ops: Ops) -> None:
        super().__init__()
        self.attn = TokenAttention(channels, ops)
        self.ln_1, self.ln_2 = ops.LayerNorm(channels), ops.LayerNorm(channels)
        self.mlp = nn.ModuleDict(
            {"c_fc": ops.Linear(channels, 4 * channels), "c_proj": ops.Linear(4 * channels, channels)}
        )

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attn(self.ln_1(tokens))
        wide = self.mlp["c_fc"](self.ln_2(tokens))
        return tokens + self.mlp["c_proj"](wide * torch.sigmoid(1.702 * wide))


class UnionControlNet(ControlNet):
    """A ControlNet that knows `dims.union_types` kinds of hint."""

    def __init__(self, dims: Dimensions, ops: Ops = nn, attention: Attention = torch_attention) -> None:
        super().__init__(dims, ops, attention)
        channels, time = dims.model_channels, dims.time_channels
        self.task_embedding = nn.Parameter(torch.empty(dims.union_types, channels))
        self.transformer_layes = nn.ModuleList([TokenBlock(channels, ops)])
        self.spatial_ch_projs = ops.Linear(channels, channels)
        self._last_flags: tuple[object, Tensor] | None = None
        wide = TYPE_EMBEDDING_WIDTH * dims.union_types
        self.control_add_embedding = nn.ModuleDict(
            {"linear_1": ops.Linear(wide, time), "linear_2": ops.Linear(time, time)}
        )

    def embed_union(self, hints: Sequence[UnionHint]) -> Tensor:
        """Embed and fuse hints of known kinds: one (B, width, h, w).

        A single hint ignores its strength, as the reference does: then the strength belongs to the residuals.
        Raises ValueError for a kind that this file does not have.
        """
        fused = []
        for item in hints:
            self.check_type(item.type)
            strength = item.strength if len(hints) > 1 else 1.0
            embedded = self.embed_hint(item.hint)
            kind = self.task_embedding[item.type].to(embedded)
            token = (embedded.mean(dim=(2, 3)) + kind) * strength
            for block in self.transformer_layes:
                token = block(token)
            fused.append((embedded + self.spatial_ch_projs(token)[:, :, None, None]) * strength)
        return torch.stack(fused).sum(dim=0) if len(fused) > 1 else fused[0]

    def check_type(self, kind: int) -> None:
        """Raise ValueError when this file has no such kind of hint."""
        if kind >= self.dims.union_types:
            known = ", ".join(UNION_TYPES[: self.dims.union_types])
            raise ValueError(
                f"This union ControlNet does not know '{UNION_TYPES[kind]}' hints, only: {known}. "
                "Choose one of these, or load the ProMax version."
            )

    def _flags(self, inputs: Inputs) -> Tensor:
        """Sinusoids that tell which kinds are in use; those of the last call are kept, as they repeat at every step."""
        key = inputs.union_types, inputs.x.device, inputs.x.dtype
        if self._last_flags is None or self._last_flags[0] != key:
            used = torch.tensor([float(kind in inputs.union_types) for kind in range(self.dims.union_types)])
            flags = timestep_embedding(used, TYPE_EMBEDDING_WIDTH).flatten()
            self._last_flags = key, flags.to(inputs.x.device, inputs.x.dtype)
        return self._last_flags[1]

    def _embed_time(self, inputs: Inputs) -> Tensor:
        flags = self._flags(inputs)
        wide = nn.functional.silu(self.control_add_embedding["linear_1"](flags[None]))
        return super()._embed_time(inputs) + self.control_add_embedding["linear_2"](wide)
