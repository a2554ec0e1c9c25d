"""Controls that act inside every block of a base model: ComfyUI calls them model patches.

Sources: modelscope/DiffSynth-Studio (block-wise ControlNets of Qwen-Image), alibaba-pai/VideoX-Fun (Z-Image Fun), and
the keys by which ComfyUI's `comfy_extras/nodes_model_patch.py` tells them apart. The tensors stay under their own
names.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from ..networks.dimensions import Shapes, shape_of
from .format import Description, Format

QWEN_MARK = "controlnet_blocks.0.y_rms.weight"
Z_IMAGE_MARK = "control_all_x_embedder.2-1.weight"
PATCH_AREA = 4
"""Latent points of a token: 2 x 2."""
LATENT_CHANNELS = 16
REFINING_BLOCKS = 2
"""Blocks of Z-Image that come before those that see the prompt."""


@dataclass(frozen=True)
class QwenDimensions:
    """width: of a token. blocks: of the base model. beside: channels of a token that the hint has beside its latent."""

    width: int
    blocks: int
    beside: int


@dataclass(frozen=True)
class ZImageDimensions:
    """width: of a token. heads, value_heads: of attention. layers: that give residuals to the base model's blocks.

    beside: channels that the hint has beside its latent (a mask and the latent of a picture with a hole). refines:
    whether it also acts in the two blocks in which the base model refines its noise.
    """

    width: int
    heads: int
    value_heads: int
    layers: int
    beside: int
    refines: bool


def infer_qwen(shapes: Shapes) -> QwenDimensions:
    """Read the dimensions off the shapes. Raises ValueError when a part is missing."""
    width, channels = shape_of(shapes, "img_in.weight", 2)
    return QwenDimensions(width, _count(shapes, "controlnet_blocks."), channels - PATCH_AREA * LATENT_CHANNELS)


def infer_z_image(shapes: Shapes) -> ZImageDimensions:
    """Read the dimensions off the shapes. Raises ValueError when a part is missing."""
    width, channels = shape_of(shapes, Z_IMAGE_MARK, 2)
    (head,) = shape_of(shapes, "control_layers.0.attention.norm_q.weight", 1)
    keys, _ = shape_of(shapes, "control_layers.0.attention.to_k.weight", 2)
    return ZImageDimensions(
        width=width,
        heads=width // max(1, head),
        value_heads=keys // max(1, head),
        layers=_count(shapes, "control_layers."),
        beside=channels // PATCH_AREA - LATENT_CHANNELS,
        refines="control_noise_refiner.0.after_proj.weight" in shapes,
    )


def _count(shapes: Shapes, prefix: str) -> int:
    """How many numbered modules there are under a prefix."""
    return len({key[len(prefix) :].split(".")[0] for key in shapes if key.startswith(prefix)})


def _describe_qwen(shapes: Shapes) -> Description:
    return Description("Qwen-Image", 3, infer_qwen(shapes).blocks)


def _describe_z_image(shapes: Shapes) -> Description:
    dims = infer_z_image(shapes)
    return Description("Z-Image", 3, dims.layers + REFINING_BLOCKS * dims.refines)


def _as_they_are(tensors: dict[str, Tensor], base: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    return tensors


def _patch(kind: str, label: str, mark: str, describe: Callable[[Shapes], Description], since: str) -> Format:
    identifier = kind.replace("_", "-")
    return Format(identifier, label, lambda shapes: mark in shapes, _as_they_are, describe, kind=kind, since=since)


MODEL_PATCHES = (
    _patch("qwen_blockwise", "Qwen-Image block-wise ControlNet of DiffSynth", QWEN_MARK, _describe_qwen, "0.3.75"),
    _patch("z_image", "Z-Image Fun ControlNet", Z_IMAGE_MARK, _describe_z_image, "0.33"),
)
