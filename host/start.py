"""ComfyUI's modules in a process that ComfyUI has not started: the command line, the benchmarks, the tests."""

import importlib
import sys
from pathlib import Path

import torch


def start_comfyui(directory: Path, cpu: bool | None = None) -> None:
    """Make the modules of the ComfyUI in `directory` importable, unless this has been done before.

    cpu: whether it computes on the CPU; None: where there is no GPU. Raises FileNotFoundError when the folder holds no
    ComfyUI.
    """
    if "comfy.model_management" in sys.modules:
        return
    if not (directory / "comfy" / "sd.py").is_file():
        raise FileNotFoundError(f"There is no ComfyUI in '{directory}'. Give the folder that holds its main.py.")
    sys.path.insert(0, str(directory))
    # ComfyUI looks for a device at import, and takes a GPU for granted without this argument of its command line.
    arguments = importlib.import_module("comfy.cli_args").args
    arguments.cpu = not (torch.cuda.is_available() or torch.backends.mps.is_available()) if cpu is None else cpu
    importlib.import_module("comfy.model_management")
