"""Runs every operation of PyTorch: on the tensors inside, with CUDA's rules about devices, and counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode

from support.gpu.ledger import Ledger, event
from support.gpu.tensors import Blocks, GpuTensor

NO_KERNEL = frozenset(
    {
        "empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "lift_fresh", "detach",
        "_unsafe_view", "_local_scalar_dense",
    }
)  # fmt: skip
"""Operations that only make or name memory."""
READS = frozenset(
    {
        "_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2", "unique_dim",
        "unique_consecutive", "_unique", "bincount", "_linalg_check_errors",
    }
)  # fmt: skip
"""Operations whose result, or its size, the CPU must know: it waits for the GPU."""
OWN_DEVICE = frozenset({"cat", "stack", "index_select", "index_copy", "index_copy_", "index_add", "gather", "scatter"})
"""Operations that do not even take a number of no dimension from the CPU."""
FROM_BOTH = frozenset({"copy_", "_to_copy", "index", "index_put", "index_put_", "_index_put_impl_"})
"""Operations that take a tensor from the CPU: copies, and indices, which are copied."""
HEAVY = frozenset({"convolution", "addmm", "mm", "bmm", "baddbmm", "_scaled_dot_product_flash_attention_for_cpu"})
PLAIN_RESULT = frozenset({"_local_scalar_dense", "equal", "is_nonzero"})


@dataclass(frozen=True)
class Operation:
    """What is known of an operation of PyTorch. composite: made of others, which a GPU sees in its place."""

    name: str
    composite: bool
    is_view: bool
    changes_shape: bool

    @classmethod
    def of(cls, func: Any) -> Operation:
        returns = func._schema.returns
        return cls(
            func._overloadpacket.__name__ + (".Tensor" if str(func) == "aten.repeat_interleave.Tensor" else ""),
            func.has_kernel_for_dispatch_key(torch._C.DispatchKey.CompositeImplicitAutograd),
            any(r.alias_info is not None and not r.alias_info.is_write for r in returns),
            torch.Tag.inplace_view in func.tags,
        )


class GpuDispatch(TorchDispatchMode):
    """with_arithmetic: whether the tensors inside have values; without, every number that is read is a one."""

    def __init__(self, ledger: Ledger, with_arithmetic: bool = True) -> None:
        super().__init__()
        self.ledger, self.with_arithmetic = ledger, with_arithmetic
        self.blocks = Blocks(ledger)
        self._inside = torch.device("cpu" if with_arithmetic else "meta")
        self._operations: dict[Any, Operation] = {}
        self.depth = 0
        """Calls of PyTorch with a tensor of the GPU that are going on: what they make is on the GPU."""
        self.leaving = False
        """Whether a tensor is to go to the CPU; PyTorch's own code asks for that device where it means the GPU."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled here, so PyTorch need not guard every call."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        operation = self._operations.get(func)
        if operation is None:
            operation = self._operations[func] = Operation.of(func)
        if operation.composite:  # arrives whole in inference mode only
            with self, self.inside(bool(_tensors(args, kwargs)[0])):
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        return self._run(operation, func, args, kwargs)

    @contextmanager
    def inside(self, of_gpu: bool) -> Iterator[None]:
        """Around a call of PyTorch. of_gpu: whether it has a tensor of the GPU."""
        self.depth += of_gpu
        try:
            yield
        finally:
            self.depth -= of_gpu

    @contextmanager
    def outside(self) -> Iterator[None]:
        """Around a call without such a tensor, inside one with."""
        depth, self.depth = self.depth, 0
        try:
            yield
        finally:
            self.depth = depth

    def _run(self, operation: Operation, func: Any, args: Any, kwargs: Any) -> Any:
        name = operation.name
        if name == "_has_compatible_shallow_copy_type":  # a GPU's tensor may take the place of a CPU's
            return True
        ours, theirs = _tensors(args, kwargs)
        to_gpu = self._gives_ours(kwargs.get("device"), ours, theirs)
        if not ours and not to_gpu:
            if name in HEAVY:
                self.ledger.on_cpu.append(event(name, theirs[0].shape))
            return func(*args, **kwargs)
        if theirs and ours:
            _check_devices(name, theirs)
        if to_gpu and kwargs.get("generator") is not None:
            raise RuntimeError("Expected a 'cuda' device type for generator but found 'cpu'")
        self._note_meeting(name, args, ours, theirs, to_gpu)
        inner = self._compute(name, func, args, kwargs, to_gpu)
        if not to_gpu or name in PLAIN_RESULT:
            return inner
        if name == "copy_" and not isinstance(args[0], GpuTensor):
            return args[0]
        if name not in NO_KERNEL and not operation.is_view and not (theirs and name in ("copy_", "_to_copy")):
            self.ledger.launch(name)
        if operation.changes_shape:
            with no_dispatch():
                func(*args, **kwargs)
            return args[0]
        known = {id(tensor.inner): tensor for tensor in ours}
        if operation.is_view and torch.is_inference_mode_enabled() and not ours[0].is_inference():
            with torch.inference_mode(False):  # a view is what its base is
                return self._wrap(inner, known)
        return self._wrap(inner, known)

    def _gives_ours(self, device: torch.device | None, ours: list[GpuTensor], theirs: list[Tensor]) -> bool:
        """Whether the result is on the GPU. device: that was asked for."""
        if device is None or (device.type == "cpu" and ours and not self.leaving):
            return bool(ours)
        made_inside = self.depth > 0 and not ours and not theirs
        return made_inside or device.type == "cuda"

    def to_cpu(self, tensor: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        self.leaving = True
        try:
            return torch.ops.aten._to_copy(tensor, dtype=dtype, device=torch.device("cpu"))
        finally:
            self.leaving = False

    def _compute(self, name: str, func: Any, args: Any, kwargs: Any, to_gpu: bool) -> Any:
        """The operation on the tensors inside."""
        named = {key: _inner(value) for key, value in kwargs.items()}
        if "pin_memory" in named:
            named["pin_memory"] = False
        if named.get("device") is not None and to_gpu:
            named["device"] = self._inside
        inner = [_inner(value) for value in args]
        if self.with_arithmetic:
            return func(*inner, **named)
        return _shapes_only(name, func, inner, named, to_gpu)

    def _note_meeting(self, name: str, args: Any, ours: list[GpuTensor], theirs: list[Tensor], to_gpu: bool) -> None:
        """Count reads of values by the CPU, and copies from it."""
        ledger = self.ledger
        if name in READS or name == "repeat_interleave.Tensor" or (name == "_to_copy" and not to_gpu):
            ledger.reads.append(event(name, ours[0].shape))
        elif name == "copy_" and not isinstance(args[0], GpuTensor):
            ledger.reads.append(event(name, args[0].shape))
        elif name in ("_to_copy", "copy_") and theirs:
            ledger.copies.append(event(name, theirs[0].shape))
        elif name in FROM_BOTH and len(args) > 1 and isinstance(args[1], (list, tuple)):
            self._note_indices(name, args)

    def _note_indices(self, name: str, args: Any) -> None:
        """Masks are turned into indices, whose number the CPU must know; indices from the CPU are copied."""
        for index in args[1]:
            if not isinstance(index, Tensor):
                continue
            if not isinstance(index, GpuTensor):
                self.ledger.copies.append(event(name, index.shape))
            if index.dtype in (torch.bool, torch.uint8) and not _is_fill(name, args):
                self.ledger.reads.append(event(f"{name} by a mask", index.shape))

    def _wrap(self, result: Any, known: dict[int, GpuTensor]) -> Any:
        """The results as tensors of the GPU; what was changed in place is the very tensor that was given."""
        if isinstance(result, Tensor):
            return known[id(result)] if id(result) in known else self.wrap(result)
        if isinstance(result, (list, tuple)):
            return type(result)(self._wrap(value, known) for value in result)
        return result

    def wrap(self, inner: Tensor) -> GpuTensor:
        return GpuTensor(inner, self.blocks.of(inner))


def _shapes_only(name: str, func: Any, args: list[Any], named: dict[str, Any], to_gpu: bool) -> Any:
    """Without values: a number is a one, and what goes to the CPU is full of ones."""
    if name == "_local_scalar_dense":
        kind = args[0].dtype
        return True if kind == torch.bool else 1.0 if kind.is_floating_point else 1
    if name == "equal":
        return True
    if name == "_to_copy" and not to_gpu:
        return torch.ones(args[0].shape, dtype=named.get("dtype") or args[0].dtype)
    if name == "copy_" and args[0].device.type == "cpu":
        return args[0].fill_(1)
    # Numbers and indices from the CPU: only their shapes count.
    return func(*(_on_meta(value) for value in args), **{key: _on_meta(value) for key, value in named.items()})


def _on_meta(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.to("meta")
    return [_on_meta(item) for item in value] if isinstance(value, (list, tuple)) else value


def _tensors(args: Any, kwargs: Any) -> tuple[list[GpuTensor], list[Tensor]]:
    """All tensors that are given, those of the GPU and those of the CPU."""
    ours: list[GpuTensor] = []
    theirs: list[Tensor] = []
    for tensor in _leaves((*args, *kwargs.values())):
        ours.append(tensor) if isinstance(tensor, GpuTensor) else theirs.append(tensor)
    return ours, theirs


def _leaves(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _leaves(value)


def _inner(value: Any) -> Any:
    if isinstance(value, GpuTensor):
        return value.inner
    if isinstance(value, (list, tuple)):
        return [_inner(item) for item in value]
    return value


def _check_devices(name: str, theirs: list[Tensor]) -> None:
    if name in FROM_BOTH:
        return
    if any(tensor.dim() > 0 or name in OWN_DEVICE for tensor in theirs):
        shapes = [tuple(tensor.shape) for tensor in theirs]
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! ({name}: "
            f"from the CPU {shapes})"
        )


def _is_fill(name: str, args: Any) -> bool:
    """Whether a mask only says where to write one number, which a kernel does without knowing how many there are."""
    return "put" in name and args[2].numel() == 1 and not isinstance(args[2], GpuTensor) and len(args[1]) == 1
