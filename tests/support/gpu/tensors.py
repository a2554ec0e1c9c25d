"""A tensor that says it lives on `cuda:0`, around one on the CPU (or on the meta device, for shapes alone).

It says so to Python only. To PyTorch's own code it is on the CPU: that would ask a driver for streams and devices.
"""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor

from support.gpu.ledger import Ledger

GPU = torch.device("cuda", 0)


class Block:
    """One allocation, shared by all views of it; counted as long as one of them lives."""

    __slots__ = ("__weakref__", "_ledger", "_size")

    def __init__(self, ledger: Ledger, size: int) -> None:
        self._ledger, self._size = ledger, size
        ledger.take(size)

    def __del__(self) -> None:
        self._ledger.free(self._size)


class Blocks:
    """The allocations that are alive, by the storage of the tensor inside."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._blocks: weakref.WeakValueDictionary[int, Block] = weakref.WeakValueDictionary()

    def of(self, inner: Tensor) -> Block:
        storage = inner.untyped_storage()
        block = self._blocks.get(storage._cdata)
        if block is None:
            block = self._blocks[storage._cdata] = Block(self._ledger, storage.nbytes())
        return block


class GpuTensor(Tensor):
    """inner: the values. block: its allocation."""

    inner: Tensor
    block: Block

    __torch_function__ = torch._C._disabled_torch_function_impl  # pyright: ignore[reportAssignmentType]

    @staticmethod
    def __new__(cls: type[GpuTensor], inner: Tensor, block: Block) -> GpuTensor:
        made = Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=torch.device("cpu"),
        )
        made.inner, made.block = inner, block
        return made

    @property
    def device(self) -> torch.device:  # pyright: ignore[reportIncompatibleVariableOverride]
        return GPU

    @property
    def is_cuda(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return True

    @property
    def is_cpu(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return False

    def get_device(self) -> int:
        return 0

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func} was called on a tensor of a pretended GPU that is not there any more.")

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Saved as what a reader on a machine without a GPU would get."""
        return self.detach().cpu().__reduce_ex__(protocol)

    def __repr__(self, **_: Any) -> str:
        return f"GpuTensor({tuple(self.shape)}, {self.dtype})"
