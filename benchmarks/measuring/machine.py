"""ComfyUI in this process, how it is told to compute, and what the numbers were taken on."""

from __future__ import annotations

import datetime
import importlib
import importlib.util
import os
import platform
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import torch

Precision = Literal["auto", "fp32", "bf16", "fp16"]
Attention = Literal["default", "sdpa"]
"""default: what ComfyUI takes without a flag; sdpa: PyTorch's, `--use-pytorch-cross-attention`."""


@contextmanager
def computing_in(precision: Precision) -> Iterator[None]:
    """The dtype of base models and ControlNets that are built meanwhile: kept as by ComfyUI's flags (`--bf16-unet`).

    They compute in it, too, also on a CPU, where ComfyUI by itself would compute in float32.
    """
    if precision == "auto":
        yield
        return
    arguments = importlib.import_module("comfy.cli_args").args
    management = importlib.import_module("comfy.model_management")
    with ExitStack() as stack:
        for name in ("fp32", "bf16", "fp16"):
            stack.enter_context(mock.patch.object(arguments, f"{name}_unet", name == precision))
        stack.enter_context(mock.patch.object(management, "unet_manual_cast", return_value=None))
        yield


@contextmanager
def attending_by(attention: Attention) -> Iterator[None]:
    """The attention function of ComfyUI's own networks meanwhile."""
    module: Any = importlib.import_module("comfy.ldm.modules.attention")
    function = module.attention_pytorch if attention == "sdpa" else module.optimized_attention
    with mock.patch.multiple(module, optimized_attention=function, optimized_attention_masked=function):
        yield


def device() -> torch.device:
    """Where ComfyUI computes."""
    return importlib.import_module("comfy.model_management").get_torch_device()


def free_bytes() -> int:
    """Main memory that is free."""
    return importlib.import_module("psutil").virtual_memory().available  # comes with ComfyUI


def describe() -> dict[str, str]:
    """A description of the machine that was measured on."""
    host = importlib.import_module("comfyui_version").__version__
    where = device()
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "device": torch.cuda.get_device_name(where) if where.type == "cuda" else _processor(),
        "cores": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "ComfyUI": host,
        "diffusers": _version("diffusers"),
    }


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    if not listing.exists():
        return platform.processor() or platform.machine()
    lines = (line.partition(":") for line in listing.read_text(encoding="utf-8").splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == "model name"), platform.machine())


def _version(package: str) -> str:
    return importlib.import_module(package).__version__ if importlib.util.find_spec(package) else "absent"
