"""T2I-Adapters, full and light, of SD1.5 and SDXL, in the keys of their authors or of diffusers.

Keys from TencentARC/T2I-Adapter `ldm/modules/encoders/adapter.py` (`body.{block}.block1`, two blocks to a level) and
diffusers `models/adapter.py` (`adapter.body.{level}.resnets.{block}.block1`).
"""

import re
from collections.abc import Mapping

from torch import Tensor

from ..networks.dimensions import Shapes
from ..networks.t2i_adapter import build_t2i_adapter, infer_t2i_adapter
from .format import Description, Format, rename

PREFIX = "adapter."


def _recognise(shapes: Shapes) -> bool:
    own = PREFIX if any(key.startswith(f"{PREFIX}body.") for key in shapes) else ""
    full = f"{own}conv_in.weight" in shapes and f"{own}body.0.block1.weight" in shapes
    full_diffusers = f"{own}conv_in.weight" in shapes and f"{own}body.0.resnets.0.block1.weight" in shapes
    light = f"{own}body.0.in_conv.weight" in shapes and f"{own}body.0.out_conv.weight" in shapes
    return full or full_diffusers or light


def _convert(tensors: dict[str, Tensor], base: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    blocks = _blocks_to_level(tensors)
    return rename(tensors, lambda key: _renamed(key, blocks))


def _blocks_to_level(keys: Mapping[str, object]) -> int:
    """Residual blocks of a level of diffusers' full adapter; 0 for any other layout."""
    if not any(key.endswith("conv_in.weight") for key in keys):
        return 0
    blocks = [int(found[1]) for key in keys if (found := re.match(r"adapter\.body\.0\.resnets\.(\d+)\.", key))]
    return max(blocks, default=-1) + 1


def _renamed(key: str, blocks: int) -> str:
    """The authors' name of a key. blocks: to a level, for diffusers' full adapters, else 0."""
    key = key.removeprefix(PREFIX)
    if not blocks:
        return key.replace(".resnets.", ".body.")
    if found := re.match(r"body\.(\d+)\.resnets\.(\d+)\.(.+)$", key):
        return f"body.{blocks * int(found[1]) + int(found[2])}.{found[3]}"
    if found := re.match(r"body\.(\d+)\.in_conv\.(.+)$", key):
        return f"body.{blocks * int(found[1])}.in_conv.{found[2]}"
    return key


def _describe(shapes: Shapes) -> Description:
    blocks = _blocks_to_level(shapes)
    dims = infer_t2i_adapter(rename(shapes, lambda key: _renamed(key, blocks)))
    return Description(dims.family, dims.hint_channels, len(dims.levels))


T2I_ADAPTER = Format(
    "t2i-adapter", "T2I-Adapter", _recognise, _convert, _describe, kind="t2i_adapter", build=build_t2i_adapter
)
