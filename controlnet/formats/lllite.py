"""ControlNet-LLLite of SDXL: modules named after the layers they change (`lllite_unet_input_blocks_4_1_...`)."""

from collections.abc import Mapping

from torch import Tensor

from ..networks.dimensions import Shapes
from ..networks.lllite import PREFIX, build_lllite, infer_lllite
from .format import Description, Format


def _recognise(shapes: Shapes) -> bool:
    return any(key.startswith(PREFIX) for key in shapes)


def _convert(tensors: dict[str, Tensor], base: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    return tensors


def _describe(shapes: Shapes) -> Description:
    infer_lllite(shapes)
    return Description("SDXL", hint_channels=3)


LLLITE = Format("lllite", "ControlNet-LLLite", _recognise, _convert, _describe, kind="lllite", build=build_lllite)
