"""Every question about ComfyUI's version, apart from its node interface (`nodes/compat.py`).

What only newer hosts have is used when present and done without when not. "0.3.75" and "0.33" below are the versions
in which it was looked up: the oldest that is supported, and a recent one.
"""

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import comfy.controlnet
import comfy.model_patcher


def model_patcher_class() -> type[Any]:
    """The class that brings a network to the device: that of the host's own models.

    0.33 names it `CoreModelPatcher`, and points the name to dynamic memory management at its start where it can; so ask
    again for every network. 0.3.75 has `ModelPatcher` only.
    """
    return getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)


def qwen_fun_controls() -> tuple[type[Any], ...]:
    """Controls that the host runs at the square root of their strength, for `isinstance`: those of Qwen-Image's Fun
    networks, which 0.33 has and 0.3.75 has not."""
    found = getattr(comfy.controlnet, "QwenFunControlNet", None)
    return () if found is None else (found,)


def video_length(window: Any) -> int | None:
    """Frames of the whole video that a context window is a part of; None on hosts that do not tell (0.3.75)."""
    return getattr(window, "total_frames", 0) or None


def anchor_frames(window: Any) -> tuple[int, ...]:
    """The frame that newer hosts (0.33) put before those of a context window, if they do."""
    anchor = getattr(window, "causal_anchor_index", None)
    return () if anchor is None or anchor < 0 else (anchor,)


def has_device_clones(options: Mapping[str, Any]) -> bool:
    """Whether a step runs on several devices (0.33), each with controls of its own, found by the first one's identity.

    options: the host's `model_options`.
    """
    return "multigpu_clones" in options


def model_patch_nodes() -> ModuleType:
    """Where the host keeps the networks of model patches: 0.3.75 those of Qwen-Image, 0.33 also what Z-Image needs.

    Raises ImportError on a host without model patches.
    """
    return importlib.import_module("comfy_extras.nodes_model_patch")


def host_version() -> str:
    """The version of this ComfyUI; "of an unknown version" where it does not say."""
    try:
        return str(importlib.import_module("comfyui_version").__version__)
    except (ImportError, AttributeError):
        return "of an unknown version"


def update_needed(label: str, since: str) -> str:
    """A sentence for a file that this host is too old to run. since: the oldest version in which it was seen to run."""
    return (
        f"This file is a {label}, which needs ComfyUI {since} or newer; this is ComfyUI {host_version()}. Update "
        "ComfyUI."
    )


def anima_networks() -> ModuleType:
    """Where the host keeps the ControlNet-LLLite of Anima. Raises ImportError on hosts without Anima (0.3.75)."""
    return importlib.import_module("comfy.ldm.anima.lllite")


def uni3c_networks() -> ModuleType:
    """Where the host keeps Wan's Uni3C. Raises ImportError on hosts without it (0.3.75)."""
    return importlib.import_module("comfy.ldm.wan.uni3c")


def z_image_networks() -> ModuleType:
    """Where the host keeps the networks of Z-Image's ControlNets. Raises ImportError on hosts without them (0.3.75)."""
    return importlib.import_module("comfy.ldm.lumina.controlnet")
