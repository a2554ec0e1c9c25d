"""The pack's workflows as the demo serves them: with its small model, photo, prompt, size and sampling."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..comfy_client.server import REPOSITORY
from ..comfy_client.workflow import Sampling
from .checkpoint import CHECKPOINT_NAME, control_name
from .scenes.hints import HINTS

SIDE = 128
PHOTO = "zeroconv-demo-cone.png"
SAMPLING = Sampling(seed=3, steps=20, cfg=3.0, sampler="euler", scheduler="normal")
CANNY, SCRIBBLE, TWO = "01 Edges (Canny)", "02 Draw It (Scribble)", "07 Two ControlNets"
PROMPTS = {
    CANNY: "a purple cone on a white floor",
    TWO: "a purple cone on a white floor",
    SCRIBBLE: "a yellow ball and a purple cone on a white floor",
}
"""The workflows whose hints the small model knows, and what their photo or drawing shows."""
WITHOUT_A_HINT = ("12 Hints of a Folder", "13 Train Your Own")
"""Workflows that any model runs as they are."""
NOT_KNOWN = (
    "**The small model of this demo does not know this hint.** Its picture will not follow it; choose a checkpoint and "
    "a ControlNet of your own.\n\n"
)


def write_copies(folder: Path) -> None:
    """Write every workflow into a folder: those that the small model can draw so that the first picture obeys."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in (REPOSITORY / "workflows").glob("*.json"):
        workflow = json.loads(path.read_text(encoding="utf-8"))
        if path.stem in PROMPTS:
            workflow = demo_copy(workflow, PROMPTS[path.stem])
        elif path.stem not in WITHOUT_A_HINT:
            workflow = with_notice(workflow)
        (folder / path.name).write_text(json.dumps(workflow, indent=2), encoding="utf-8")


def stand_in(directory: str, name: str) -> str:
    """The small model's file for an official one; a ControlNet's kind is in its name."""
    if directory == "checkpoints":
        return CHECKPOINT_NAME
    return control_name(next((kind for kind in HINTS if kind in name), "canny"))


def with_notice(workflow: Mapping[str, Any]) -> dict[str, Any]:
    """A copy whose note says first that the small model cannot draw it."""
    changed = copy.deepcopy(dict(workflow))
    for node in changed["nodes"]:
        if node["type"] == "MarkdownNote":
            node["widgets_values"] = [NOT_KNOWN + node["widgets_values"][0]]
            break
    return changed


def demo_copy(workflow: Mapping[str, Any], prompt: str) -> dict[str, Any]:
    """A copy for the small model. workflow: as the canvas saves it."""
    changed = copy.deepcopy(dict(workflow))
    prompts = iter((prompt, ""))
    for node in changed["nodes"]:
        kind, values = node["type"], node["widgets_values"]
        for model in node["properties"].pop("models", ()):
            node["widgets_values"] = [stand_in(model["directory"], model["name"]), *values[1:]]
        if kind == "CLIPTextEncode":
            node["widgets_values"] = [next(prompts)]
        elif kind == "EmptyLatentImage":
            node["widgets_values"] = [SIDE, SIDE, 1]
        elif kind == "KSampler":
            run = SAMPLING
            node["widgets_values"] = [run.seed, "fixed", run.steps, run.cfg, run.sampler, run.scheduler, run.denoise]
        elif kind == "LoadImage":
            node["widgets_values"] = [PHOTO, *values[1:]]
        elif any(entry["name"] == "resolution" for entry in node["inputs"]):
            node["widgets_values"] = [SIDE, *values[1:]]
    return changed
