"""Uni3C: a ControlNet of Wan that sees a film rendered along a camera's path.

Source: ewrfcas/Uni3C, and the keys by which ComfyUI's `comfy_extras/nodes_model_patch.py` tells it from other model
patches.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ..networks.dimensions import Shapes, shape_of
from .format import Description, Format, rename

MARK = "controlnet_patch_embedding.weight"
ATTENTION = {"to_q.": "q.", "to_k.": "k.", "to_v.": "v.", "to_out.0.": "o."}
"""Names of diffusers, and of Wan's own code, of the projections in attention."""


@dataclass(frozen=True)
class Uni3CDimensions:
    """in_channels: latent and hint. embedding, width, hidden: of its tokens before, in and inside its blocks.

    base_width: of the base model's tokens, which residuals have. time_width: of the embedded timestep. layers: blocks,
    a residual each. camera, camera_hidden: channels of the embedding of a camera's path, which is not in use.
    """

    in_channels: int
    embedding: int
    width: int
    hidden: int
    base_width: int
    time_width: int
    layers: int
    camera: int
    camera_hidden: int


def infer_uni3c(shapes: Shapes) -> Uni3CDimensions:
    """Read the dimensions off the shapes. Raises ValueError when a part is missing."""
    embedding, channels = shape_of(shapes, MARK, 5)[:2]
    camera_hidden, camera = shape_of(shapes, "controlnet_mask_embedding.mask_proj.0.weight", 5)[:2]
    base_width, width = shape_of(shapes, "proj_out.0.weight", 2)
    return Uni3CDimensions(
        in_channels=channels,
        embedding=embedding,
        width=width,
        hidden=shape_of(shapes, "controlnet_blocks.0.ffn.0.bias", 1)[0],
        base_width=base_width,
        time_width=shape_of(shapes, "controlnet_blocks.0.norm1.linear.weight", 2)[1],
        layers=sum(key.startswith("proj_out.") and key.endswith(".weight") for key in shapes),
        camera=camera,
        camera_hidden=camera_hidden,
    )


def _name(key: str) -> str:
    before, attention, part = key.partition(".self_attn.")
    new = next((own + part.removeprefix(theirs) for theirs, own in ATTENTION.items() if part.startswith(theirs)), part)
    return before + attention + new


def _convert(tensors: dict[str, Tensor], base: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    return rename(tensors, _name)


def _describe(shapes: Shapes) -> Description:
    return Description("Wan", 3, infer_uni3c(shapes).layers)


UNI3C = Format(
    "wan-uni3c",
    "Uni3C ControlNet for Wan",
    lambda shapes: MARK in shapes,
    _convert,
    _describe,
    kind="uni3c",
    since="0.33",
)
