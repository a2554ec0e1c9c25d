"""Counts the work of a sampling in numbers that no busy neighbor changes.

operations: kernels that PyTorch calls, views not counted. FLOPs: 2 for a multiplication with its addition, of matrix
products, convolutions and attention. moved bytes: of every operation's inputs and outputs. reads: of a tensor's value,
each of which stops the CPU until a GPU has caught up. peak bytes: of the tensors that the sampling made, alive at once.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import comfy.cldm.cldm
import comfy.model_patcher
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_flop_count

from .gpu import counting_gpu

READS = {"item", "tolist", "cpu", "numpy", "__bool__", "__int__", "__float__", "__index__", "nonzero", "equal"}
NO_KERNEL = {"_unsafe_view", "empty", "empty_like", "empty_strided", "lift_fresh", "_local_scalar_dense"}


class Tally:
    """Counts of one side, step by step; an `Observer`. networks: its ControlNets, once a sampling is open."""

    def __init__(self, networks: Callable[[], Iterable[nn.Module]]) -> None:
        self.total: Counter[str] = Counter()
        self.steps: list[Counter[str]] = []
        self.alive = Alive()
        self._networks = networks

    @contextmanager
    def opening(self, side: str) -> Iterator[None]:
        with _counting(self.total, self.alive):
            yield

    @contextmanager
    def stepping(self, side: str, steps: range) -> Iterator[None]:
        before = Counter(self.total)
        with _counting(self.total, self.alive), _watching(self._networks(), self.total):
            yield
        self.steps.append(self.total - before)


class Alive:
    """Bytes of the tensors that were made while somebody counted, and are still in use."""

    def __init__(self) -> None:
        self.peak = 0
        self._now = 0
        self._known: set[int] = set()

    def note(self, tensors: Iterable[Tensor]) -> None:
        for storage in (tensor.untyped_storage() for tensor in tensors):
            if storage._cdata not in self._known:
                self._known.add(storage._cdata)
                self._now += storage.nbytes()
                weakref.finalize(storage, self._gone, storage._cdata, storage.nbytes())
        self.peak = max(self.peak, self._now)

    def _gone(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._now -= size


@contextmanager
def _counting(counts: Counter[str], alive: Alive) -> Iterator[None]:
    with _counting_loads(counts), counting_gpu(counts), _Reads(counts), _Operations(counts, alive):
        yield


class _Reads(TorchFunctionMode):
    def __init__(self, counts: Counter[str]) -> None:
        super().__init__()
        self._counts = counts

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        self._counts["reads"] += name in READS or (name == "to" and _leaves_gpu(args, kwargs or {}))
        return func(*args, **(kwargs or {}))


def _leaves_gpu(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    target = [value for value in (*args[1:], kwargs.get("device")) if isinstance(value, (str, torch.device))]
    return args[0].is_cuda and any(torch.device(value).type == "cpu" for value in target)


class _Operations(TorchDispatchMode):
    def __init__(self, counts: Counter[str], alive: Alive) -> None:
        super().__init__()
        self._counts, self._alive = counts, alive
        self._whole: set[Any] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func not in self._whole:  # under inference_mode composite operations arrive as they are
            with self:
                result = func.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
            self._whole.add(func)
        result = func(*args, **kwargs)
        packet = func._overloadpacket
        if not _is_view(func):
            made = _tensors(result)
            self._alive.note(made)
            if packet.__name__ not in NO_KERNEL:
                self._counts["operations"] += 1
                self._counts["moved bytes"] += sum(tensor.nbytes for tensor in (*_tensors((args, kwargs)), *made))
                self._counts["FLOPs"] += _flops(packet, args, kwargs, result)
        return result


def _tensors(values: Any) -> list[Tensor]:
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]


def _is_view(func: Any) -> bool:
    return any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)


def _flops(packet: Any, args: Any, kwargs: Any, result: Any) -> int:
    if packet.__name__ == "_scaled_dot_product_flash_attention_for_cpu":  # which PyTorch's table lacks
        return sdpa_flop_count(*(tensor.shape for tensor in args[:3]))
    return flop_registry[packet](*args, **kwargs, out_val=result) if packet in flop_registry else 0


@contextmanager
def _counting_loads(counts: Counter[str]) -> Iterator[None]:
    """Models that are brought to the device, and ControlNets that are built."""
    patcher = comfy.model_patcher.ModelPatcher
    loaders = [(owner, "load") for owner in (patcher, *patcher.__subclasses__()) if "load" in vars(owner)]
    with ExitStack() as stack:
        for owner, name in (*loaders, (comfy.cldm.cldm.ControlNet, "__init__")):
            stack.enter_context(mock.patch.object(owner, name, _counted(getattr(owner, name), counts, "loads")))
        yield


def _counted(function: Callable[..., Any], counts: Counter[str], name: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        counts[name] += 1
        return function(*args, **kwargs)

    return call


@contextmanager
def _watching(networks: Iterable[nn.Module], counts: Counter[str]) -> Iterator[None]:
    """Evaluations of the ControlNets and their parts; all sides name these parts alike."""
    with ExitStack() as stack:
        for network in networks:
            watched = {"forwards": [network], "hint embeddings": [], "key projections": []}
            for path, module in network.named_modules():
                if path in ("input_hint_block", "controlnet_cond_embedding"):
                    watched["hint embeddings"].append(module)
                if path.endswith("attn2.to_k"):
                    watched["key projections"].append(module)
            for name, modules in watched.items():
                for module in modules:
                    handle = module.register_forward_pre_hook(lambda *_, name=name: counts.update({name: 1}))
                    stack.callback(handle.remove)
        yield
