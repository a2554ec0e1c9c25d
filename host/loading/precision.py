"""The numbers that a network of ours keeps its weights in and computes with: those the host chooses, or as asked."""

from dataclasses import dataclass
from typing import Any, Literal

import comfy.model_management
import comfy.ops
import torch
from torch import Tensor

Precision = Literal["auto", "fp32", "bf16", "fp16", "fp8"]
PRECISIONS: tuple[Precision, ...] = ("auto", "fp32", "bf16", "fp16", "fp8")
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2)


def check_host_chooses(precision: Precision) -> None:
    """Raise ValueError when a precision was asked for that cannot be had."""
    if precision != "auto":
        raise ValueError(
            f"ComfyUI's own network runs this file and chooses its precision: set '{precision}' to 'auto'."
        )


@dataclass(frozen=True)
class Choice:
    """How a network is wanted: the dtype that weights are kept in and the one to compute in, layers, device.

    squeeze: whether matrices are rounded to 8 bits; otherwise only those stay so that were.
    """

    weight: torch.dtype
    compute: torch.dtype
    ops: Any
    device: torch.device
    squeeze: bool = False

    def cast(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights as they are to be kept, in the same table, so that both versions of only one are in memory."""
        for key, value in tensors.items():
            tensors[key] = value.to(self._dtype(value))
        return tensors

    def _dtype(self, value: Tensor) -> torch.dtype:
        if self.weight not in FLOAT8:
            return self.weight
        kept = value.dtype == self.weight or (self.squeeze and value.dim() > 1)
        return self.weight if kept else self.compute


def choose(tensors: dict[str, Tensor], precision: Precision) -> Choice:
    """How a state dict is to be kept and computed.

    With `auto` the host decides, by the device and its command line (`--fp8_e4m3fn-unet`, `--bf16-unet`, `--force-fp32`
    ...). Where it wants 8 bits, matrices get them, and biases and norms, a hundredth of the numbers, do not.
    """
    management = comfy.model_management
    device = management.get_torch_device()
    if precision in DTYPES:
        dtype = DTYPES[precision]
        return Choice(dtype, dtype, comfy.ops.pick_operations(dtype, None), device)
    sizes: dict[torch.dtype, int] = {}
    for value in tensors.values():
        sizes[value.dtype] = sizes.get(value.dtype, 0) + value.numel()
    stored = max(sizes, key=lambda dtype: sizes[dtype])
    weight = management.unet_dtype(model_params=-1, weight_dtype=stored)
    cast = management.unet_manual_cast(weight, device)
    if precision != "fp8":
        ops = comfy.ops.pick_operations(weight, cast)
        return Choice(weight, cast or weight, ops, device, squeeze=weight != stored)
    compute = cast or (weight if weight not in FLOAT8 else torch.float32)
    ops = comfy.ops.pick_operations(torch.float8_e4m3fn, compute)
    return Choice(torch.float8_e4m3fn, compute, ops, device, squeeze=True)
