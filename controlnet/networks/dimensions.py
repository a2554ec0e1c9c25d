"""The dimensions of an LDM ControlNet, read off the shapes of its weights: no configuration file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

Shapes = Mapping[str, tuple[int, ...]]
"""Shape of every tensor by its key, in LDM names without prefix (`input_blocks.0.0.weight`, ...)."""

HINT_STRIDES = (1, 1, 2, 1, 2, 1, 2, 1)
"""Strides of the eight convolutions of `input_hint_block`: pixels to latents, 8 to 1 (paper, section 3.2)."""

LABEL = "label_emb.0.0.weight"
WIDTH_STEP = 32
"""Widths are multiples of it: the groups of every normalisation."""


@dataclass(frozen=True)
class Block:
    """One encoder stage: a residual block with `depth` transformer layers, or a downsampling convolution."""

    channels: int
    depth: int | None = None
    """Transformer layers; None: no transformer at all (0 is a bare projection, as in SDXL small's middle)."""
    downsample: bool = False


@dataclass(frozen=True)
class Dimensions:
    """All that shapes a ControlNet."""

    in_channels: int
    hint_channels: int
    hint_widths: tuple[int, ...]
    """Between the layers of the hint encoder. None for a network that sees the hint's latent: then it has at most one
    layer, and `hint_channels` are the latent's, with those of a mask."""
    model_channels: int
    blocks: tuple[Block, ...]
    """The input blocks after the first convolution."""
    middle: Block
    context_dim: int | None
    adm_channels: int | None
    linear_projection: bool
    union_types: int = 0
    """Kinds of hint that a union network tells apart; 0 for a plain one."""
    frames: int = 0
    """Length of the longest video that temporal layers can take; 0 without such layers."""

    @property
    def sees_latents(self) -> bool:
        """Whether the hint comes to the network through the VAE."""
        return not self.hint_widths

    @property
    def time_channels(self) -> int:
        return 4 * self.model_channels

    @property
    def residual_channels(self) -> tuple[int, ...]:
        """Channels of every residual in order: the skips of the encoder, then the middle."""
        return (self.model_channels, *(b.channels for b in self.blocks), self.middle.channels)

    def heads(self, channels: int) -> int:
        """SD1.5 has 8 heads at every width; SD2 and SDXL have heads of 64 channels."""
        return 8 if self.context_dim == 768 else max(1, channels // 64)

    @property
    def family(self) -> str:
        """The base model family that this network was made for, for messages."""
        return family_name(self.context_dim, self.adm_channels)


def family_name(context_dim: int | None, adm_channels: int | None) -> str:
    """Name the Stable Diffusion family by its prompt width and its size-and-crop vector (`adm`)."""
    if adm_channels == 2816:
        return "SDXL"
    if adm_channels == 2560:
        return "SDXL refiner"
    if context_dim == 768:
        return "SD1.5"
    if context_dim == 1024:
        return "SD2.x"
    return f"an unknown family (context {context_dim}, adm {adm_channels})"


def infer_dimensions(shapes: Shapes) -> Dimensions:
    """Read the dimensions of a ControlNet off its weights.

    shapes: of the whole state dict in LDM keys. Raises ValueError when a part is missing.
    """
    first = shape_of(shapes, "input_blocks.0.0.weight", 4)
    hint = _hint_layers(shapes)
    count = 1 + max(int(match[1]) for key in shapes if (match := re.match(r"input_blocks\.(\d+)\.", key)))
    contexts = [shape_of(shapes, key, 2)[1] for key in shapes if key.endswith(".attn2.to_k.weight")]
    projections = [shape for key, shape in shapes.items() if key.endswith(".1.proj_in.weight")]
    label = shape_of(shapes, LABEL, 2) if LABEL in shapes else None
    numbers = [key for key in shapes if key.endswith("pos_encoder.pe")]
    dims = Dimensions(
        in_channels=first[1],
        hint_channels=hint[0][1] if hint else first[1],
        hint_widths=tuple(shape[0] for shape in hint[:-1]),
        model_channels=first[0],
        blocks=tuple(_block(shapes, f"input_blocks.{i}") for i in range(1, count)),
        middle=_block(shapes, "middle_block"),
        context_dim=contexts[0] if contexts else None,
        adm_channels=label[1] if label else None,
        linear_projection=bool(projections) and len(projections[0]) == 2,
        union_types=shape_of(shapes, "task_embedding", 2)[0] if "task_embedding" in shapes else 0,
        frames=shape_of(shapes, numbers[0], 3)[1] if numbers else 0,
    )
    odd = [width for width in dims.residual_channels if width % WIDTH_STEP]
    if odd:
        raise ValueError(f"This ControlNet file is damaged: a width of {odd[0]} is not a multiple of {WIDTH_STEP}.")
    return dims


def _hint_layers(shapes: Shapes) -> list[tuple[int, ...]]:
    """Shapes of the hint encoder's kernels: eight, one, or none."""
    numbers = {int(m[1]) for key in shapes if (m := re.match(r"input_hint_block\.(\d+)\.weight", key))}
    layers = range(len(HINT_STRIDES)) if len(numbers) > 1 else range(len(numbers))
    return [shape_of(shapes, f"input_hint_block.{2 * i}.weight", 4) for i in layers]


def _block(shapes: Shapes, prefix: str) -> Block:
    if f"{prefix}.0.op.weight" in shapes:
        return Block(shape_of(shapes, f"{prefix}.0.op.weight", 4)[0], downsample=True)
    channels = shape_of(shapes, f"{prefix}.0.in_layers.2.weight", 4)[0]
    if f"{prefix}.1.proj_in.weight" not in shapes:
        return Block(channels)
    layer = re.compile(re.escape(f"{prefix}.1.transformer_blocks.") + r"(\d+)\.")
    return Block(channels, depth=len({match[1] for key in shapes if (match := layer.match(key))}))


def shape_of(shapes: Shapes, key: str, rank: int) -> tuple[int, ...]:
    """Shape of a tensor that must be there and have `rank` dimensions, none of them empty. Raises ValueError."""
    if key not in shapes:
        raise ValueError(f"This ControlNet file is incomplete: the tensor '{key}' is missing. Download it again.")
    shape = tuple(shapes[key])
    if len(shape) != rank or 0 in shape:
        raise ValueError(f"This ControlNet file is damaged: the tensor '{key}' has the shape {shape}.")
    return shape
