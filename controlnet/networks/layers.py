"""The layers and the attention that a network is built from: torch's own, or the host's."""

from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Ops(Protocol):
    """A namespace of layer classes: `torch.nn`, or `comfy.ops.disable_weight_init` and its relatives."""

    Linear: Any
    Conv2d: Any
    GroupNorm: Any
    LayerNorm: Any


class Attention(Protocol):
    """Scaled dot-product attention over `heads` heads packed in the last dimension."""

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
        """q (B, T, C), k and v (B, S, C) -> (B, T, C)."""
        ...


def torch_attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """PyTorch's fused attention.

    q: (B, T, C); k, v: (B, S, C); C divisible by `heads`. Returns (B, T, C).
    """
    q, k, v = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (q, k, v))
    return nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def timestep_embedding(timesteps: Tensor, channels: int, max_period: int = 10000) -> Tensor:
    """Sinusoids of the timestep: cosines first, then sines (Ho et al. 2020, as in CompVis LDM).

    timesteps: (B,), 0..999, may be fractional. Returns (B, channels) float32.
    """
    half = channels // 2
    rates = torch.arange(half, dtype=torch.float32, device=timesteps.device) / half
    angles = timesteps[:, None].float() * torch.exp(rates * -torch.log(torch.tensor(float(max_period))))
    embedding = torch.cat([angles.cos(), angles.sin()], dim=-1)
    return nn.functional.pad(embedding, (0, 1)) if channels % 2 else embedding


def repeat_rows(values: Tensor, rows: int) -> Tensor:
    """Repeat a group's rows for every group: (group, ...) -> (rows, ...).

    The batch of a sampler is [group 0, group 1, ...] (cond, uncond) with the same pictures in each group, so a
    tensor computed once for a group serves all of them.
    """
    count = values.shape[0]
    return values if count == rows else values.repeat(rows // count, *[1] * (values.dim() - 1))


def match_rows(values: Tensor, rows: int) -> Tensor:
    """As `repeat_rows`, but a single row is left as it is, to broadcast."""
    return values if values.shape[0] == 1 else repeat_rows(values, rows)
