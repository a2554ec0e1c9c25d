"""Autocast on the pretended GPU, by CUDA's lists.

Source: PyTorch `aten/src/ATen/autocast_mode.h` (AT_FORALL_LOWER_PRECISION_FP, AT_FORALL_FP32).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

LOWER = {
    functional.linear, functional.conv1d, functional.conv2d, functional.conv3d, torch.conv2d, torch.matmul,
    Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm, torch.mm, Tensor.mm, torch.addmm, torch.baddbmm,
    torch.einsum, functional.scaled_dot_product_attention,
}  # fmt: skip
"""Computed in the lower precision."""
FULL = {
    functional.group_norm, torch.group_norm, functional.layer_norm, torch.layer_norm, functional.softmax,
    torch.softmax, Tensor.softmax, torch.exp, Tensor.exp, torch.log, Tensor.log, torch.pow, Tensor.pow,
    Tensor.__pow__, torch.sum, Tensor.sum, torch.norm, Tensor.norm, functional.mse_loss, torch.cumsum,
}  # fmt: skip
"""Computed in float32."""


class Autocast:
    """Casts what functions are given. Casts of weights are kept until the outermost autocast ends."""

    def __init__(self) -> None:
        self._weights: dict[int, tuple[Tensor, Tensor]] = {}

    def clear(self) -> None:
        self._weights.clear()

    def cast(self, func: Any, args: Any, kwargs: Any) -> tuple[Any, Any]:
        if func in LOWER:
            dtype = torch.get_autocast_dtype("cuda")
        elif func in FULL:
            dtype = torch.float32
        else:
            return args, kwargs
        return tuple(self._one(value, dtype) for value in args), {
            name: self._one(value, dtype) for name, value in kwargs.items()
        }

    def _one(self, value: Any, dtype: torch.dtype) -> Any:
        if isinstance(value, (list, tuple)) and any(isinstance(item, Tensor) for item in value):
            return type(value)(self._one(item, dtype) for item in value)
        if not isinstance(value, Tensor) or not value.is_floating_point() or value.dtype == dtype:
            return value
        kept = value.is_leaf and value.requires_grad and value.dtype == torch.float32 and torch.is_grad_enabled()
        if not kept or not torch.is_autocast_cache_enabled():
            return torch.ops.aten._to_copy(value, dtype=dtype)
        if id(value) not in self._weights:
            self._weights[id(value)] = value, torch.ops.aten._to_copy(value, dtype=dtype)
        return self._weights[id(value)][1]
