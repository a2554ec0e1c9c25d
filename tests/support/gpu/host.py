"""Makes PyTorch and ComfyUI believe in a GPU: its device, its free memory, its streams."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch
import torch.utils._foreach_utils

from support.comfy_host import import_host
from support.gpu.autocast import Autocast
from support.gpu.dispatch import GpuDispatch
from support.gpu.functions import GpuFunctions
from support.gpu.ledger import Ledger
from support.gpu.tensors import GPU, GpuTensor

import_host()

import comfy.ldm.modules.attention as host_attention
import comfy.model_management as management

GIB = 1 << 30


@contextmanager
def pretended_gpu(
    memory: int = 24 * GIB, half: bool = False, low_vram: bool = False, with_arithmetic: bool = True
) -> Iterator[Ledger]:
    """A GPU with so many bytes of memory.

    half: whether ComfyUI computes in float16 on it, as on a real one; else in float32, to be compared with the CPU.
    low_vram: ComfyUI keeps the weights on the CPU, and casts them layer by layer.
    """
    ledger = Ledger()
    dispatch = GpuDispatch(ledger, with_arithmetic)
    autocast = Autocast()
    management.unload_all_models()
    with ExitStack() as stack:
        for target, name, value in [*_torch_patches(ledger, memory, autocast), *_host_patches(half, low_vram)]:
            stack.enter_context(mock.patch.object(target, name, value))
        stack.callback(torch._C._set_only_lift_cpu_tensors, torch._C._only_lift_cpu_tensors())
        torch._C._set_only_lift_cpu_tensors(True)
        stack.enter_context(dispatch)
        functions = stack.enter_context(GpuFunctions(dispatch, autocast))
        engine = functools.partial(functions.run_backward, torch.autograd._engine_run_backward)
        stack.enter_context(mock.patch.object(torch.autograd, "_engine_run_backward", engine))
        stack.callback(management.unload_all_models)
        yield ledger


def _torch_patches(ledger: Ledger, memory: int, autocast: Autocast) -> list[tuple[Any, str, Any]]:
    cuda = torch.cuda
    foreach = torch.utils._foreach_utils
    optimizers = importlib.import_module("torch.optim.optimizer")
    properties = SimpleNamespace(major=8, minor=9, total_memory=memory, name="pretended", multi_processor_count=1)
    numbers = ("active_bytes.all.current", "reserved_bytes.all.current", "allocated_bytes.all.current")
    return [
        (cuda, "_lazy_init", lambda: None),
        (cuda, "is_available", lambda: True),
        (cuda, "device_count", lambda: 1),
        (cuda, "current_device", lambda: 0),
        (cuda, "get_device_properties", lambda *_: properties),
        (cuda, "get_device_name", lambda *_: "pretended"),
        (cuda, "get_device_capability", lambda *_: (8, 9)),
        (cuda, "is_bf16_supported", lambda *_, **__: True),
        (cuda, "mem_get_info", lambda *_: (memory - ledger.alive, memory)),
        (cuda, "memory_stats", lambda *_: dict.fromkeys(numbers, ledger.alive)),
        (cuda, "max_memory_allocated", lambda *_: ledger.peak),
        (cuda, "memory_allocated", lambda *_: ledger.alive),
        (cuda, "reset_peak_memory_stats", lambda *_: setattr(ledger, "peak", ledger.alive)),
        (cuda, "is_current_stream_capturing", lambda: False),
        (cuda, "get_rng_state", lambda *_: torch.empty(0, dtype=torch.uint8)),
        (cuda, "set_rng_state", lambda *_: None),
        (cuda, "manual_seed", lambda _: None),
        (cuda, "manual_seed_all", lambda _: None),
        (cuda, "empty_cache", lambda: None),
        (cuda, "ipc_collect", lambda: None),
        (cuda, "synchronize", lambda *_: None),
        (cuda, "current_stream", lambda *_: Stream()),
        (cuda, "Stream", Stream),
        (cuda, "stream", lambda stream: nullcontext()),
        (cuda, "Event", Event),
        (cuda, "CUDAGraph", Graph),
        (cuda, "graph", lambda graph: nullcontext()),
        (torch, "clear_autocast_cache", autocast.clear),
        (importlib.import_module("torch.fx.experimental._config"), "meta_nonzero_assume_all_nonzero", True),
        (torch._C, "_group_tensors_by_device_and_dtype", _group_tensors),
        (optimizers, "_foreach_supported_types", [torch.Tensor, torch.nn.Parameter, GpuTensor]),
        (foreach, "_foreach_supported_types", [*foreach._foreach_supported_types, GpuTensor]),
    ]


_group = torch._C._group_tensors_by_device_and_dtype


def _group_tensors(lists: Any, with_indices: bool = False) -> Any:
    """PyTorch's own code finds tensors of the GPU on the CPU."""
    return {
        (GPU if isinstance(tensors[0][0], GpuTensor) else device, dtype): (tensors, indices)
        for (device, dtype), (tensors, indices) in _group(lists, with_indices).items()
    }


def _host_patches(half: bool, low_vram: bool) -> list[tuple[Any, str, Any]]:
    state = management.VRAMState.LOW_VRAM if low_vram else management.VRAMState.NORMAL_VRAM
    attention = host_attention.attention_pytorch
    patches: list[tuple[Any, str, Any]] = [
        (management, "cpu_state", management.CPUState.GPU),
        (management, "vram_state", state),
        (management, "get_torch_device", lambda: GPU),
        (management, "should_use_fp16", lambda *_, **__: half and management.cpu_state == management.CPUState.GPU),
        (management, "should_use_bf16", lambda *_, **__: False),
        (management, "ENABLE_PYTORCH_ATTENTION", True),
        (management, "MIN_WEIGHT_MEMORY_RATIO", 0.0),
        (host_attention, "optimized_attention", attention),
        (host_attention, "optimized_attention_masked", attention),
    ]
    return [patch for patch in patches if hasattr(patch[0], patch[1])]


class Stream:
    """A stream on which everything has happened already."""

    cuda_stream = 0

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def wait_stream(self, stream: Any) -> None: ...

    def wait_event(self, event: Any) -> None: ...

    def record_event(self, event: Any = None) -> Any:
        return event or Event()

    def synchronize(self) -> None: ...

    def query(self) -> bool:
        return True


class Graph:
    """A recording, whose results are those of the call that was recorded."""

    def replay(self) -> None: ...


class Event:
    """A moment that has passed."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def record(self, *_: Any) -> None: ...

    def wait(self, *_: Any) -> None: ...

    def synchronize(self) -> None: ...

    def query(self) -> bool:
        return True

    def elapsed_time(self, other: Any) -> float:
        return 1.0
