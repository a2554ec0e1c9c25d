"""CtrLoRA (Xu et al. 2024, arXiv 2410.09400): a base ControlNet of many tasks, and small files that set it on one.

The base file holds a ControlNet without hint encoder, which sees the hint's latent (`..hint_only`). A CtrLoRA holds
the matrices `up @ down` to be added to every linear layer, and whole zero convolutions and transformer norms; those of
the base are of no use then. Keys and rule: xyfJASON/ctrlora, `api.py` and `cldm/cldm_ctrlora_inference.py`. A network
that was trained further as a whole (`ctrlora_finetune_sd15_full.yaml`) is a file of the base's kind and needs no other.
"""

import re
from collections.abc import Mapping

from torch import Tensor

from ...storage.weights import shapes_of
from ..networks.build import build_ctrlora
from ..networks.dimensions import Shapes, family_name
from .control_lora import add_low_rank
from .format import Description, Format, describe_controlnet, has
from .ldm import CTRLORA_MARK, MARK, PREFIX, is_ctrlora, is_whole, own

UP, DOWN = f".{CTRLORA_MARK}.up.weight", f".{CTRLORA_MARK}.down.weight"
SWITCHED = re.compile(rf"{CTRLORA_MARK}|zero_convs|middle_block_out|norm")
"""Parts that a CtrLoRA replaces."""
COLORS = 3
"""The hint's channels before the VAE."""


def _marked(shapes: Shapes) -> bool:
    return (MARK in shapes or PREFIX + MARK in shapes) and is_ctrlora(shapes)


def _recognise(shapes: Shapes) -> bool:
    return _marked(shapes) and not is_whole(shapes)


def _recognise_base(shapes: Shapes) -> bool:
    return _marked(shapes) and is_whole(shapes) and has(shapes, CTRLORA_MARK)


def _recognise_full(shapes: Shapes) -> bool:
    return _marked(shapes) and not has(shapes, CTRLORA_MARK)


def _convert(tensors: dict[str, Tensor], base: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    if base is None:
        raise ValueError(
            "This file is a CtrLoRA, a difference to its base ControlNet (ctrlora_sd15_basecn700k). Choose that as "
            "base_file in ControlNet Load."
        )
    shapes = shapes_of(base)
    if not (_marked(shapes) and is_whole(shapes)):
        raise ValueError(
            "The base_file is not a base ControlNet of CtrLoRAs. Choose the one that this CtrLoRA was made for, such "
            "as ctrlora_sd15_basecn700k."
        )
    tensors, whole = own(tensors), own(base)
    merged = {key: value for key, value in whole.items() if not SWITCHED.search(key)}
    for key, value in tensors.items():
        name = key.removesuffix(UP).removesuffix(DOWN)
        if name == key:
            merged[key] = value
            continue
        misfit = f"The CtrLoRA does not fit the base_file at '{name}'. Choose the base that it was made for."
        if name + UP not in tensors:
            raise ValueError(misfit)
        if key.endswith(UP):
            weight, down = whole.get(f"{name}.weight"), tensors.get(name + DOWN)
            merged[f"{name}.weight"] = add_low_rank(weight, value, down, misfit)
    return merged


def _describe(shapes: Shapes) -> Description:
    context = [shape[1] for key, shape in shapes.items() if key.endswith(f"attn2.to_k{DOWN}") and len(shape) == 2]
    label = [shape[1] for key, shape in shapes.items() if key.endswith(f"label_emb.0.0{DOWN}") and len(shape) == 2]
    return Description(
        family=family_name(context[0] if context else None, label[0] if label else None),
        hint_channels=COLORS,
        residuals=sum("zero_convs." in key and key.endswith(".weight") for key in shapes) + 1,
    )


def _describe_full(shapes: Shapes) -> Description:
    found = describe_controlnet(own(shapes))
    return Description(found.family, COLORS, found.residuals)


def _refuse(tensors: dict[str, Tensor], base: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    raise ValueError(f"This file is a base ControlNet of CtrLoRAs. {BASE_NEEDS}")


BASE_NEEDS = "To use it, choose a CtrLoRA in ControlNet Load and this file as its base_file."

CTRLORA = Format(
    "ctrlora", "CtrLoRA", _recognise, _convert, _describe, needs_controlnet=True, kind="ctrlora", build=build_ctrlora
)
CTRLORA_FULL = Format(
    "ctrlora-full",
    "ControlNet of the CtrLoRA kind",
    _recognise_full,
    lambda tensors, base: own(tensors),
    _describe_full,
    kind="ctrlora",
    build=build_ctrlora,
)
CTRLORA_BASE = Format(
    "ctrlora-base",
    "base ControlNet of CtrLoRAs",
    _recognise_base,
    _refuse,
    _describe_full,
    needs=BASE_NEEDS,
)
