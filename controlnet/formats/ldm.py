"""The original layout of lllyasviel's ControlNet: `zero_convs.0.0.weight`, often under `control_model.`.

Also inside a whole checkpoint, beside the Stable Diffusion model that it was trained with, and as a difference to
that model (marked by the key `difference`).
"""

import logging
from collections.abc import Mapping

from torch import Tensor

from ..networks.build import build_controlnet
from ..networks.dimensions import Shapes
from . import control_lora
from .format import (
    FIRST_LAYER,
    Description,
    Format,
    Value,
    check_input,
    describe_controlnet,
    has,
    rename,
    require_base,
    union_name,
)

PREFIX = "control_model."
MARK = "zero_convs.0.0.weight"
DIFFERENCE = "difference"
CTRLORA_MARK = "lora_layer"

COMPANIONS = (
    "model.diffusion_model.",
    "first_stage_model.",
    "cond_stage_model.",
    "conditioner.",
    "model_ema.",
    "alphas_cumprod",
    "betas",
    "log_one_minus_alphas_cumprod",
    "logvar",
    "posterior_",
    "sqrt_",
)
"""Beginnings of the keys that a whole checkpoint of Stable Diffusion has beside its ControlNet."""


def _recognise(shapes: Shapes) -> bool:
    marked = MARK in shapes or PREFIX + MARK in shapes
    return marked and control_lora.MARK not in shapes and not is_ctrlora(shapes)


def is_ctrlora(shapes: Shapes) -> bool:
    """Whether it is a file of CtrLoRA: with its small matrices, or without hint encoder before the first layer."""
    return has(shapes, CTRLORA_MARK) or (is_whole(shapes) and not has(shapes, "input_hint_block."))


def is_whole(shapes: Shapes) -> bool:
    """Whether the encoder's first layer is there."""
    return FIRST_LAYER in shapes or PREFIX + FIRST_LAYER in shapes


def _convert(tensors: dict[str, Tensor], base: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    held = own(tensors)
    if DIFFERENCE in tensors:
        base = require_base(base, "This file holds the difference between a ControlNet and its base model")
        held = {key: _add(key, value, base) for key, value in held.items()}
    return held


def _add(key: str, value: Tensor, base: Mapping[str, Tensor]) -> Tensor:
    """A part of the base that the ControlNet was copied from, changed; other parts are whole."""
    if key not in base:
        return value
    check_input(key, value.shape, base[key].shape, "difference")
    if base[key].shape != value.shape:
        raise ValueError(
            f"This file is a difference to another base model than the MODEL: '{key}' is {tuple(value.shape)} here and "
            f"{tuple(base[key].shape)} there. Wire a MODEL of the family that it was made for."
        )
    return value + base[key].to(value)


def _describe(shapes: Shapes) -> Description:
    return describe_controlnet(own(shapes))


def own(values: Mapping[str, Value]) -> dict[str, Value]:
    """The ControlNet's own tensors or shapes, without prefix; what else a checkpoint may hold is left out."""
    if PREFIX + MARK not in values:
        return rename({key: value for key, value in values.items() if key != DIFFERENCE}, union_name)
    strange = [key for key in values if not key.startswith((PREFIX, *COMPANIONS)) and key != DIFFERENCE]
    if strange:
        logging.getLogger(__name__).warning(
            "%d tensors of the checkpoint belong to no network that ZeroConv knows and are left out: %s ...",
            len(strange),
            ", ".join(strange[:3]),
        )
    held = {key.removeprefix(PREFIX): value for key, value in values.items() if key.startswith(PREFIX)}
    return rename(held, union_name)


LDM = Format(
    "ldm", "ControlNet, LDM layout", _recognise, _convert, _describe, kind="controlnet", build=build_controlnet
)
