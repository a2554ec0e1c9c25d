"""ControlNet-LLLite of Anima: modules named after the layers they change, and one encoder of the hint for all.

Source: kohya-ss/sd-scripts (`networks/control_net_lllite_anima.py`), and the keys by which ComfyUI's
`comfy_extras/nodes_model_patch.py` tells it from other model patches. The tensors stay under their own names.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ..networks.dimensions import Shapes, shape_of
from .format import Description, Format

MARK = "lllite_conditioning1.conv1.weight"
MODULE = re.compile(r"lllite_dit_blocks_(\d+)_\w+\.down\.weight")
PLAIN_CHANNELS = 3
"""Channels of a hint; an inpainting network takes a mask as one more."""


@dataclass(frozen=True)
class AnimaDimensions:
    """width: of a token. blocks: of the base model, up to the last that is changed. masked: whether it inpaints."""

    width: int
    blocks: int
    masked: bool


def infer_anima(shapes: Shapes) -> AnimaDimensions:
    """Read the dimensions off the shapes. Raises ValueError when a part is missing."""
    channels = shape_of(shapes, MARK, 4)[1]
    modules = {key: int(found[1]) for key in shapes if (found := MODULE.fullmatch(key))}
    if not modules:
        raise ValueError("This ControlNet-LLLite for Anima is incomplete: it changes no layer. Download it again.")
    width = shape_of(shapes, next(iter(modules)), 2)[1]
    return AnimaDimensions(width, max(modules.values()) + 1, channels > PLAIN_CHANNELS)


def _as_they_are(tensors: dict[str, Tensor], base: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    return tensors


def _describe(shapes: Shapes) -> Description:
    return Description("Anima", PLAIN_CHANNELS, infer_anima(shapes).blocks)


ANIMA_LLLITE = Format(
    "anima-lllite",
    "ControlNet-LLLite for Anima",
    lambda shapes: MARK in shapes,
    _as_they_are,
    _describe,
    kind="anima_lllite",
    since="0.33",
)
