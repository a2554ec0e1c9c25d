"""Widens the demonstration's networks to Stable Diffusion 1.5's size without changing what they compute.

Every channel becomes `k` equal neighbours, and whatever reads them divides its weights by `k`. Group norm with 32
groups and layer norm then see the same mean and variance, convolutions and linear layers the same sums, and a gated
linear layer the same halves. Attention has `k` times the channels in each head: the products grow by `k`, the host
divides by the root of the head's width, so the queries carry another 1 / sqrt(k). The time embedding's sinusoids of
the narrow width are every k-th of the wide ones. The autoencoder has no norms: zeros fill it up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

CHANNELS = 320
HINT_WIDTHS = (16, 16, 32, 32, 96, 96, 256)
"""Widths of the seven inner convolutions of a ControlNet's hint encoder (`cldm.py`), which hosts expect."""
TAESD_WIDTH = 64
_TAESD_PARTS = {"encoder": (0, (2, 6, 10), ((1,), (3, 4, 5), (7, 8, 9), (11, 12, 13)), 14),
                "decoder": (1, (7, 12, 17), ((3, 4, 5), (8, 9, 10), (13, 14, 15), (18,)), 19)}  # fmt: skip
"""First convolution, convolutions between stages, blocks of the stages, last convolution."""
_READS_NOT_WIDENED = re.compile(r"^input_blocks\.0\.0\.|\.attn2\.to_[kv]\.")
_WRITES_NOT_WIDENED = re.compile(r"^out\.2\.")
_HINT = re.compile(r"^input_hint_block\.(\d+)\.(weight|bias)$")


def widen_unet(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of a narrow UNet (LDM keys, no prefix) at 320 channels; same dtype."""
    return _widened(state, {key: value for key, value in state.items() if not _HINT.match(key)})


def widen_controlnet(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state dict of a narrow ControlNet (`cldm.py` keys, no prefix) at 320 channels; same dtype.

    The inner convolutions of the hint encoder may be narrower than usual; zeros fill them up.
    """
    factor = _factor(state)
    wide = widen_unet(state)
    for key, value in state.items():
        match = _HINT.match(key)
        if match:
            place = int(match[1]) // 2
            outputs = HINT_WIDTHS[place] if place < len(HINT_WIDTHS) else value.shape[0]
            shape = [outputs, *value.shape[1:]]
            if value.dim() == 4 and place > 0:
                shape[1] = HINT_WIDTHS[place - 1]
            filled = _filled_up(value, shape)
            wide[key] = filled.repeat_interleave(factor, 0) if place == len(HINT_WIDTHS) else filled
    return wide


def widen_autoencoder(encoder: Mapping[str, Tensor], decoder: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """TAESD's state dict (`taesd_encoder.*`, `taesd_decoder.*`), 64 channels wide, of the narrow halves."""
    wide: dict[str, Tensor] = {}
    for part, narrow in (("encoder", encoder), ("decoder", decoder)):
        for key, shape in _taesd_shapes(part).items():
            wide[f"taesd_{part}.{key}"] = _filled_up(narrow[key], shape) if key in narrow else torch.zeros(shape)
    return wide


def _factor(state: Mapping[str, Tensor]) -> int:
    width = state["input_blocks.0.0.weight"].shape[0]
    if CHANNELS % width or width % 32:
        raise ValueError(f"A network of {width} channels cannot be widened to {CHANNELS}: take 32, 64 or 160.")
    return CHANNELS // width


def _widened(state: Mapping[str, Tensor], chosen: Mapping[str, Tensor]) -> dict[str, Tensor]:
    factor = _factor(state)
    return {key: _widen(key, value, factor) for key, value in chosen.items()}


def _widen(key: str, value: Tensor, factor: int) -> Tensor:
    writes = 1 if _WRITES_NOT_WIDENED.search(key) else factor
    wide = value.float().repeat_interleave(writes, 0)
    if value.dim() > 1:
        if key == "time_embed.0.weight":
            wide = _spread_sinusoids(wide, factor)
        elif not _READS_NOT_WIDENED.search(key):
            wide = wide.repeat_interleave(factor, 1) / factor
    if key.endswith(".to_q.weight"):
        wide = wide / factor**0.5
    return wide.to(value.dtype)


def _spread_sinusoids(weight: Tensor, factor: int) -> Tensor:
    """Columns of `weight` (outputs, cosines and sines) moved to where the wide embedding has their frequencies.

    Frequency i of n is 10000^(-i/n): that of number i * factor among n * factor.
    """
    wide = weight.new_zeros(weight.shape[0], weight.shape[1] * factor)
    wide[:, ::factor] = weight
    return wide


def _filled_up(value: Tensor, shape: list[int]) -> Tensor:
    wide = value.new_zeros(shape)
    wide[tuple(slice(0, size) for size in value.shape)] = value
    return wide


def _taesd_shapes(part: str) -> dict[str, list[int]]:
    first, between, stages, last = _TAESD_PARTS[part]
    inputs, outputs, width = (3, 4, TAESD_WIDTH) if part == "encoder" else (4, 3, TAESD_WIDTH)
    shapes = {f"{first}.weight": [width, inputs, 3, 3], f"{first}.bias": [width]}
    shapes |= {f"{index}.weight": [width, width, 3, 3] for index in between}
    for index in (block for stage in stages for block in stage):
        for layer in (0, 2, 4):
            shapes[f"{index}.conv.{layer}.weight"] = [width, width, 3, 3]
            shapes[f"{index}.conv.{layer}.bias"] = [width]
    return shapes | {f"{last}.weight": [outputs, width, 3, 3], f"{last}.bias": [outputs]}
