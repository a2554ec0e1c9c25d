"""What PyTorch decides before it dispatches an operation: where a tensor goes, in which dtype autocast computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from support.gpu.autocast import Autocast
from support.gpu.dispatch import GpuDispatch
from support.gpu.tensors import GPU, GpuTensor


class GpuFunctions(TorchFunctionMode):
    """dispatch: runs the operations."""

    def __init__(self, dispatch: GpuDispatch, autocast: Autocast) -> None:
        super().__init__()
        self._dispatch, self._autocast = dispatch, autocast
        self._own: dict[Any, Callable[..., Any]] = {
            Tensor.data.__set__: _set_data,  # pyright: ignore[reportFunctionMemberAccess]
            Tensor.to: self._to,
            Tensor.type_as: lambda tensor, other: self._move(tensor, other.device, other.dtype),
            Tensor.cpu: lambda tensor, *_, **__: dispatch.to_cpu(tensor),
            Tensor.cuda: lambda tensor, *_, **__: tensor,
            Tensor.tolist: lambda tensor: dispatch.to_cpu(tensor).tolist(),
            Tensor.numpy: _numpy,
            Tensor.__array__: _numpy,
            Tensor.new_tensor: _new_tensor,
            Tensor.is_pinned: lambda tensor: False,
        }

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if not _has_ours((*args, *kwargs.values())):
            if func is Tensor.pin_memory:
                return args[0]
            with self._dispatch.outside():
                return func(*args, **kwargs)
        own = self._own.get(func)
        if own is not None:
            return own(*args, **kwargs)
        if torch.is_autocast_enabled("cuda"):
            args, kwargs = self._autocast.cast(func, args, kwargs)
        with self._dispatch.inside("device" not in kwargs):
            return func(*args, **kwargs)

    def _move(
        self, tensor: Tensor, device: torch.device | None, dtype: torch.dtype | None, copy: bool = False
    ) -> Tensor:
        """To a device, which PyTorch's own code would take for the CPU."""
        if not isinstance(tensor, GpuTensor):
            return tensor.to(device, dtype, copy=copy) if device is not None else tensor.to(dtype, copy=copy)
        if device is not None and device.type == "cpu":
            return self._dispatch.to_cpu(tensor, dtype)
        if dtype in (None, tensor.dtype):
            return tensor.clone() if copy else tensor
        return torch.ops.aten._to_copy(tensor, dtype=dtype)

    def _to(self, tensor: Tensor, *args: Any, copy: bool = False, **kwargs: Any) -> Tensor:
        """`Tensor.to`, in all its forms; what it is to be like comes first."""
        other = args[0] if args else kwargs.get("other")
        if isinstance(other, Tensor):
            return self._move(tensor, other.device, other.dtype, copy)
        if len([value for value in args if isinstance(value, bool)]) == 2:
            args, copy = args[:-1], args[-1]
        device, dtype, _, memory_format = torch._C._nn._parse_to(*args, **kwargs)
        moved = self._move(tensor, device, dtype, copy)
        return moved if memory_format is None else moved.contiguous(memory_format=memory_format)

    def run_backward(self, run: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The engine's pass back through the graph; what is computed again in it is to be seen, too."""
        with self, self._dispatch.inside(True):
            return run(*args, **kwargs)


def _has_ours(values: Any) -> bool:
    return any(
        isinstance(value, GpuTensor) or (isinstance(value, (list, tuple)) and _has_ours(value)) for value in values
    )


def _numpy(tensor: Tensor, *_: Any, **__: Any) -> Any:
    raise TypeError(
        "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first."
    )


def _new_tensor(tensor: Tensor, data: Any, dtype: torch.dtype | None = None, device: Any = None, **_: Any) -> Tensor:
    return torch.tensor(data, dtype=dtype or tensor.dtype, device=device or GPU)


def _set_data(tensor: Tensor, data: Tensor) -> None:
    """`tensor.data = data`: the same object, on another device from now on (`Module.to` does it)."""
    if tensor is data:
        return
    with torch.inference_mode(data.is_inference()):
        moved = data.detach()
        if isinstance(tensor, torch.nn.Parameter):
            moved = torch.nn.Parameter(moved, tensor.requires_grad)
    torch.utils.swap_tensors(tensor, moved)
