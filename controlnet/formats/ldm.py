"""The original layout of lllyasviel's ControlNet: `zero_convs.0.0.weight`, often under `control_model.`.

Also inside a whole checkpoint, beside the Stable Diffusion model that it was trained with.
"""

from torch import Tensor

from ..dimensions import Shapes
from .format import Format, rename_union

PREFIX = "control_model."
MARK = "zero_convs.0.0.weight"


def _recognise(shapes: Shapes) -> bool:
    return MARK in shapes or PREFIX + MARK in shapes


def _convert(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    if "difference" in tensors:
        raise ValueError(
            "This file holds the difference between a ControlNet and its base model, not the ControlNet. "
            "Use the full version of it."
        )
    if PREFIX + MARK in tensors:
        tensors = {key.removeprefix(PREFIX): value for key, value in tensors.items() if key.startswith(PREFIX)}
    return rename_union(tensors)


LDM = Format("ldm", "ControlNet, LDM layout", _recognise, _convert)
