"""Weights stored in 8 bits with a scale beside them, brought back to their values.

A weight `x.weight` of float8 has its scale in `x.scale_weight` (ComfyUI's scaled files, marked by the key
`scaled_fp8`) or `x.weight_scale` (ComfyUI's newer ones, with `x.comfy_quant`, a JSON text as bytes): value = stored x
scale. `scale_input` and `input_scale` are hints for 8-bit multiplications and not needed. Unscaled float8 weights are
left as they are: the host decides how to compute with them.
"""

import json
from collections.abc import Mapping

import torch
from torch import Tensor

from ...storage.names import printable
from .format import Value

MARK = "scaled_fp8"
SCALES = (".scale_weight", ".weight_scale")
NOT_NEEDED = (".scale_input", ".input_scale")
KIND = ".comfy_quant"
PREFIXES = ("", "control_model.", "model.diffusion_model.")
FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2)

MOST_CHARACTERS = 10_000
"""Bytes of the text that says how a weight is stored; real ones have some dozen."""
LONGEST_SHOWN = 60


def is_beside(key: str) -> bool:
    """Whether a key tells how another is stored."""
    return key.endswith((*SCALES, *NOT_NEEDED, KIND)) or key in {prefix + MARK for prefix in PREFIXES}


def plain(values: Mapping[str, Value]) -> dict[str, Value]:
    """Without the keys that tell how others are stored."""
    return {key: value for key, value in values.items() if not is_beside(key)}


def unscale(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Multiply scaled weights by their scales, in bfloat16, whose rounding (2^-9) is far below that of 8 bits.

    Raises ValueError for scales without weights, weights that are not float8, or another way to store 8 or 4 bits.
    """
    beside = [key for key in tensors if is_beside(key)]
    if not beside:
        return tensors
    whole = plain(tensors)
    for key in beside:
        module, _, kind = key.rpartition(".")
        if f".{kind}" == KIND:
            _check_kind(module, tensors[key])
        elif f".{kind}" in SCALES:
            whole[f"{module}.weight"] = _scaled(module, whole.get(f"{module}.weight"), tensors[key])
    return whole


def _scaled(module: str, weight: Tensor | None, scale: Tensor) -> Tensor:
    if weight is None or weight.dtype not in FLOAT8 or scale.numel() not in (1, weight.shape[0] if weight.dim() else 1):
        raise ValueError(f"'{module}' has a scale, but no 8-bit weight that fits it. Download the file again.")
    factor = scale.float().reshape(-1, *(1,) * (weight.dim() - 1)) if scale.numel() > 1 else scale.float().reshape(())
    return (weight.float() * factor).to(torch.bfloat16)


def _check_kind(module: str, text: Tensor) -> None:
    try:
        if text.numel() > MOST_CHARACTERS:
            raise ValueError("longer than any")
        kind = json.loads(bytes(text.to(torch.uint8).flatten().tolist()))["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"How '{module}' is stored cannot be read. Download the file again.") from error
    if not str(kind).startswith("float8"):
        shown = printable(kind)[:LONGEST_SHOWN]
        raise ValueError(
            f"'{module}' is stored as '{shown}', which ZeroConv cannot read. Use the version in fp8, fp16 or bf16."
        )
