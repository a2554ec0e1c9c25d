"""The description of a weight format: how it is recognized, converted, built and run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor, nn

from ..networks.dimensions import Shapes, infer_dimensions
from ..networks.layers import Attention, Ops
from ..networks.union import UNION_TYPES

Value = TypeVar("Value")

Build = Callable[[Mapping[str, Tensor], Ops, Attention], nn.Module]
Convert = Callable[[dict[str, Tensor], Mapping[str, Tensor] | None], dict[str, Tensor]]

ENCODER_PARTS = ("input_blocks.", "middle_block.", "time_embed.", "label_emb.")
"""Beginnings of the keys that a ControlNet has in common with the UNet it was copied from."""


FIRST_LAYER = "input_blocks.0.0.weight"
INPAINTING_CHANNELS = 9
"""The latent's four, four of the masked picture and the mask."""


@dataclass(frozen=True)
class Description:
    """Facts about a control that the shapes of its file tell; None where they do not."""

    family: str
    hint_channels: int | None = None
    residuals: int | None = None
    union_types: tuple[str, ...] = ()


@dataclass(frozen=True)
class Format:
    """One way to store a control.

    recognise: by keys and shapes alone. convert: (tensors, UNet of the base model in LDM keys or None) -> tensors under
    the names of our network; they are passed on, not copied, and keys that belong to other networks of a whole
    checkpoint are dropped. describe: what the shapes of such a file tell. needs_base: cannot be converted without the
    base model. needs_controlnet: not without the tensors of another file, which `convert` gets in the base's place.
    kind: what runs the file, by the name of its module in `networks/` and in `host/controls/`; empty for a file that is
    known and not run. build: (converted tensors, layers, attention) -> a network of ours around them; None where
    ComfyUI's own network runs it. since: the oldest ComfyUI in which that was seen to run.
    """

    id: str
    label: str
    recognise: Callable[[Shapes], bool]
    convert: Convert
    describe: Callable[[Shapes], Description]
    needs_base: bool = False
    needs_controlnet: bool = False
    kind: str = ""
    build: Build | None = None
    since: str = "0.3.75"
    needs: str = ""
    """For a format that ZeroConv does not run: what does, in one sentence."""


def require_base(base: Mapping[str, Tensor] | None, what: str) -> Mapping[str, Tensor]:
    """The base model's UNet. Raises ValueError that says to wire it when there is none."""
    if base is None:
        raise ValueError(f"{what}. Wire the MODEL to ControlNet Load.")
    return base


def check_input(key: str, own: Sequence[int], base: Sequence[int], what: str) -> None:
    """Raise ValueError where a file and the base model differ only in what the first layer takes.

    key: of a layer in the UNet. own, base: shapes (out, in, ...) of its weights in the file, (rank, in, ...) of the
    first of two matrices, and in the base model. what: the file is, for the message.
    """
    if key != FIRST_LAYER or tuple(own[2:]) != tuple(base[2:]) or own[1] == base[1]:
        return
    inpainting = "an inpainting model" if base[1] == INPAINTING_CHANNELS else "another kind of model"
    raise ValueError(
        f"The MODEL is {inpainting}: its first layer takes {base[1]} channels, and this {what} was made for a model "
        f"that takes {own[1]}. Wire the plain MODEL of the same family to ControlNet Load; sampling with "
        "this one works all the same."
    )


def rename(values: Mapping[str, Value], name: Callable[[str], str]) -> dict[str, Value]:
    """Tensors, or shapes, under other names. Raises ValueError when two would get the same."""
    renamed = {name(key): value for key, value in values.items()}
    if len(renamed) < len(values):
        old: dict[str, str] = {}
        for key in values:
            if other := old.get(name(key)):
                raise ValueError(f"This file is damaged: '{other}' and '{key}' are the same part of the network.")
            old[name(key)] = key
    return renamed


def union_name(key: str) -> str:
    """A union file's packed attention projection as a module of its own: `in_proj_weight` -> `in_proj.weight`."""
    return key.replace(".attn.in_proj_", ".attn.in_proj.")


def describe_controlnet(shapes: Shapes) -> Description:
    """The configuration that the shapes of a ControlNet in LDM keys imply. Raises ValueError when a part is missing."""
    dims = infer_dimensions(shapes)
    kinds = UNION_TYPES[: dims.union_types]
    return Description(dims.family, dims.hint_channels, len(dims.residual_channels), kinds)


def has(shapes: Shapes, *parts: str) -> bool:
    """Whether every part occurs in some key."""
    return all(any(part in key for key in shapes) for part in parts)
