"""The original layout of lllyasviel's ControlNet: `zero_convs.0.0.weight`, often under `control_model.`.

Also inside a whole checkpoint, beside the Stable Diffusion model that it was trained with, and as a difference to
that model (marked by the key `difference`).
"""

from collections.abc import Mapping

from torch import Tensor

from ..dimensions import Shapes
from .format import Format, rename_union, require_base

PREFIX = "control_model."
MARK = "zero_convs.0.0.weight"


def _recognise(shapes: Shapes) -> bool:
    return MARK in shapes or PREFIX + MARK in shapes


def _convert(tensors: dict[str, Tensor], base: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    difference = tensors.get("difference") is not None
    if PREFIX + MARK in tensors:
        tensors = {key.removeprefix(PREFIX): value for key, value in tensors.items() if key.startswith(PREFIX)}
    else:
        tensors = {key: value for key, value in tensors.items() if key != "difference"}
    if difference:
        base = require_base(base, "This file holds the difference between a ControlNet and its base model")
        tensors = {key: value + base[key].to(value) if key in base else value for key, value in tensors.items()}
    return rename_union(tensors)


LDM = Format("ldm", "ControlNet, LDM layout", _recognise, _convert)
