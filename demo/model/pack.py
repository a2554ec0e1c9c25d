"""Weights in fewer bytes: whole numbers of eight bits with one scale a row, which is enough for a ControlNet."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

SCALE = "|scale"
"""Appended to the key of a packed tensor: the key of its rows' scales."""


def pack(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Matrices and convolutions as int8 with a float32 scale for each output; the rest as float16."""
    packed: dict[str, Tensor] = {}
    for key, value in state.items():
        if value.dim() < 2:
            packed[key] = value.half()
            continue
        rows = value.float().flatten(1)
        scale = rows.abs().amax(1).clamp_min(1e-12) / 127
        packed[key] = (rows / scale[:, None]).round().to(torch.int8).view(value.shape)
        packed[key + SCALE] = scale
    return packed


def unpack(packed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The unpacked tensors, in float32, each number off by at most half its row's scale. Plain tensors pass."""
    state: dict[str, Tensor] = {}
    for key, value in packed.items():
        if key.endswith(SCALE):
            continue
        scale = packed.get(key + SCALE)
        full = value.float()
        state[key] = full if scale is None else full * scale.view(-1, *[1] * (value.dim() - 1))
    return state
