"""Counters that need a GPU: launches of kernels, and moments at which the CPU waits for it."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.profiler import ProfilerActivity, profile

LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx", "cudaGraphLaunch")


@contextmanager
def counting_gpu(counts: Counter[str]) -> Iterator[None]:
    """Add to `launches` and `syncs`; nothing without a GPU."""
    if not torch.cuda.is_available():
        yield
        return
    with _counting_syncs(counts), profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        yield
        torch.cuda.synchronize()
    counts["launches"] += sum(event.count for event in profiler.key_averages() if event.key in LAUNCHES)


@contextmanager
def _counting_syncs(counts: Counter[str]) -> Iterator[None]:
    """PyTorch warns of every synchronising call when it is asked to; also of those that read no value."""
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode(before)
    counts["syncs"] += sum("synchroniz" in str(warning.message) for warning in caught)
