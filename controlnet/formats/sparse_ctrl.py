"""SparseCtrl of AnimateDiff (Guo et al. 2023, arXiv 2311.16933): a ControlNet with layers along the time of a video.

Two layouts of diffusers' ControlNet keys: guoyww/AnimateDiff's own files, whose temporal layers are named as in its
`motion_module.py`, and those of diffusers' `SparseControlNetModel`. RGB files have one convolution for latents with a
mask as their hint encoder, scribble files the usual eight for pictures with a mask.
"""

import math
import re
from collections.abc import Mapping

import torch
from torch import Tensor

from ..networks.build import build_sparse_ctrl
from ..networks.dimensions import Shapes
from . import diffusers
from .format import Description, Format, Value, describe_controlnet, has, rename

COLORS = 3
"""The hint's channels before the VAE and without its mask."""
FRAMES = 32
"""Frames of the longest video, for files without the sinusoids, which are not weights and may be left out."""

MOTION = re.compile(r"down_blocks\.(\d+)\.motion_modules\.(\d+)\.(?:temporal_transformer\.)?(.+)")
LAYER = "transformer_blocks.0."
NAMES = {
    "attn1.": "attention_blocks.0.",
    "pos_embed.": "attention_blocks.0.pos_encoder.",
    "norm1.": "norms.0.",
    "norm3.": "ff_norm.",
}
"""Beginnings of names inside a temporal layer: diffusers', and AnimateDiff's."""
QUERY, NUMBERS = "attention_blocks.0.to_q.weight", "attention_blocks.0.pos_encoder.pe"
ONE_LAYER, HINT = "controlnet_cond_embedding.", "input_hint_block.0."


def _recognise(shapes: Shapes) -> bool:
    return has(shapes, "controlnet_cond_embedding", "motion_modules")


def _convert(tensors: dict[str, Tensor], base: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    renamed = _rename(tensors)
    for key in [key for key in renamed if key.endswith(QUERY)]:
        renamed.setdefault(key.removesuffix(QUERY) + NUMBERS, _sinusoids(FRAMES, renamed[key].shape[1]))
    return renamed


def _sinusoids(frames: int, channels: int) -> Tensor:
    """The positional encoding of frames (1, frames, channels): sines and cosines in turn.

    Source: Vaswani et al. 2017, section 3.5.
    """
    rates = torch.exp(torch.arange(0, channels, 2) * (-math.log(10000.0) / channels))
    angles = torch.arange(frames)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)[None]


def _describe(shapes: Shapes) -> Description:
    found = describe_controlnet(_rename(shapes))
    return Description(found.family, COLORS, found.residuals)


def _rename(values: Mapping[str, Value]) -> dict[str, Value]:
    values = rename(values, lambda key: key.removeprefix("module."))
    still = {key: value for key, value in values.items() if ".motion_modules." not in key}
    moving = {key: value for key, value in values.items() if key not in still}
    starts = diffusers.stage_starts(still)

    def motion_name(key: str) -> str:
        match = MOTION.match(key)
        if match is None or int(match[1]) >= len(starts) - 1:
            return key
        stage, block = int(match[1]), int(match[2])
        place = 2 if f"down_blocks.{stage}.attentions.{block}.proj_in.weight" in still else 1
        return f"input_blocks.{starts[stage] + block}.{place}.temporal_transformer.{_inner(match[3])}"

    one_layer = f"{ONE_LAYER}weight" in still
    hint = rename(still, lambda key: key.replace(ONE_LAYER, HINT)) if one_layer else still
    return diffusers.to_ldm(hint) | rename(moving, motion_name)


def _inner(name: str) -> str:
    """AnimateDiff's name of a part of a temporal transformer."""
    part = name.removeprefix(LAYER)
    for theirs, own in NAMES.items():
        if part != name and part.startswith(theirs):
            return LAYER + own + part.removeprefix(theirs)
    return name


SPARSE_CTRL = Format(
    "sparse-ctrl", "SparseCtrl", _recognise, _convert, _describe, kind="sparse_ctrl", build=build_sparse_ctrl
)
