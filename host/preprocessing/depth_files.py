"""Depth files in ComfyUI's output folder, with the workflow in them as in its own pictures."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import folder_paths
from comfy.cli_args import args
from torch import Tensor

from ...preprocessors.depth_files import DepthFormat, save_depth
from .run import HostProgress


def save_depth_files(name: str, depth: Tensor, format: DepthFormat, prompt: Any, extra: Mapping[str, Any]) -> str:
    """Save raw depth, (B, H, W) or (H, W), into the output folder: where, in a sentence.

    prompt, extra: what the host knows of the workflow; left out where it was started with --disable-metadata.
    """
    texts = {} if args.disable_metadata else _texts(prompt, extra)
    pictures = depth.reshape(-1, *depth.shape[-2:])
    folder = Path(folder_paths.get_output_directory())
    paths = save_depth(folder, name, pictures, format, texts, HostProgress())
    last = f" to {paths[-1].name}" if len(paths) > 1 else ""
    return f"Saved as {paths[0].name}{last} in the output folder."


def _texts(prompt: Any, extra: Mapping[str, Any]) -> dict[str, str]:
    known = {} if prompt is None else {"prompt": prompt}
    return {name: json.dumps(value) for name, value in {**known, **extra}.items()}
