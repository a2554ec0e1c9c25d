"""What a weight format is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from ..dimensions import Shapes

Convert = Callable[[dict[str, Tensor], Mapping[str, Tensor] | None], dict[str, Tensor]]

ENCODER_PARTS = ("input_blocks.", "middle_block.", "time_embed.", "label_emb.")
"""Beginnings of the keys that a ControlNet has in common with the UNet it was copied from."""


@dataclass(frozen=True)
class Format:
    """One way to store a ControlNet.

    recognise: by keys and shapes alone. convert: (tensors, UNet of the base model in LDM keys or None) -> tensors in
    LDM keys without prefix; they are passed on, not copied, and keys that belong to other networks of a whole
    checkpoint are dropped. needs_base: cannot be converted without the base model.
    """

    id: str
    label: str
    recognise: Callable[[Shapes], bool]
    convert: Convert
    needs_base: bool = False


def require_base(base: Mapping[str, Tensor] | None, what: str) -> Mapping[str, Tensor]:
    """The base model's UNet. Raises ValueError that says to wire it when there is none."""
    if base is None:
        raise ValueError(f"{what}. Wire the MODEL to Load ControlNet (ZeroConv).")
    return base


def rename_union(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give a union file's packed attention projection a module of its own: `in_proj_weight` -> `in_proj.weight`."""
    return {key.replace(".attn.in_proj_", ".attn.in_proj."): value for key, value in tensors.items()}
