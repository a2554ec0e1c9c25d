"""What a weight format is."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ..dimensions import Shapes


@dataclass(frozen=True)
class Format:
    """One way to store a ControlNet.

    recognise: by keys and shapes alone. convert: the tensors in LDM keys without prefix; tensors are passed on, not
    copied; keys that belong to other networks of a whole checkpoint are dropped.
    """

    id: str
    label: str
    recognise: Callable[[Shapes], bool]
    convert: Callable[[dict[str, Tensor]], dict[str, Tensor]]


def rename_union(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give a union file's packed attention projection a module of its own: `in_proj_weight` -> `in_proj.weight`."""
    return {key.replace(".attn.in_proj_", ".attn.in_proj."): value for key, value in tensors.items()}
