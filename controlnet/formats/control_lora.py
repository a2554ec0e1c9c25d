"""Stability's Control-LoRA: the control's difference to the base model as low-rank matrices (`lora_controlnet`).

Each layer's weight is base + up @ down (both flattened to matrices); the hint encoder, the zero convolutions, biases
and norms are whole. Source of the rule: ComfyUI `comfy/controlnet.py`, ControlLoraOps. There the product is made anew
at every step; here the weights are merged once.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ..networks.build import build_controlnet
from ..networks.dimensions import Shapes, family_name
from .format import ENCODER_PARTS, Description, Format, check_input, require_base

MARK = "lora_controlnet"


def _recognise(shapes: Shapes) -> bool:
    return MARK in shapes


def _convert(tensors: dict[str, Tensor], base: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
    base = require_base(base, "This file is a Control-LoRA, a difference to its base model")
    merged = {key: value for key, value in base.items() if key.startswith(ENCODER_PARTS)}
    for key, value in tensors.items():
        module, _, kind = key.rpartition(".")
        if kind == "up":
            weight, down = base.get(f"{module}.weight"), tensors.get(f"{module}.down")
            if weight is not None and down is not None:
                check_input(f"{module}.weight", down.shape, weight.shape, "Control-LoRA")
            misfit = f"The Control-LoRA does not fit the MODEL at '{module}'. Wire a MODEL of its family."
            merged[f"{module}.weight"] = add_low_rank(weight, value, down, misfit)
        elif kind in ("weight", "bias"):
            merged[key] = value
    return merged


def add_low_rank(weight: Tensor | None, up: Tensor, down: Tensor | None, misfit: str) -> Tensor:
    """A layer's weight and the product of its two matrices.

    weight: (out, ...). up: (out, rank, ...). down: (rank, ...). Raises ValueError with the text `misfit` when one is
    missing or they do not fit.
    """
    if weight is None or down is None or up.shape[0] * down[0].numel() != weight.numel():
        raise ValueError(misfit)
    difference = up.float().flatten(start_dim=1) @ down.float().flatten(start_dim=1)
    return (weight.float() + difference.to(weight.device).reshape(weight.shape)).to(_stored(weight))


def _stored(weight: Tensor) -> torch.dtype:
    """A sum does not fit an 8-bit format."""
    return weight.dtype if weight.element_size() > 1 else torch.bfloat16


def _describe(shapes: Shapes) -> Description:
    context = [shape[1] for key, shape in shapes.items() if key.endswith("attn2.to_k.down") and len(shape) == 2]
    label = shapes.get("label_emb.0.0.down", ())
    hint = shapes.get("input_hint_block.0.weight", ())
    return Description(
        family=family_name(context[0] if context else None, label[1] if len(label) == 2 else None),
        hint_channels=hint[1] if len(hint) == 4 else None,
        residuals=sum(key.startswith("zero_convs.") and key.endswith(".weight") for key in shapes) + 1,
    )


CONTROL_LORA = Format(
    "control-lora",
    "Control-LoRA",
    _recognise,
    _convert,
    _describe,
    needs_base=True,
    kind="controlnet",
    build=build_controlnet,
)
