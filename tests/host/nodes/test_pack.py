"""The pack loads in a real ComfyUI, and what users' workflows depend on has not changed."""

import json
import os
import re
from pathlib import Path
from typing import Any

from zeroconv.comfy_client.server import PACK, ComfyServer

SURFACE = Path(__file__).with_name("public_surface.json")
OPTIONS = ("default", "min", "max", "step", "multiline")
# Lists of files differ from one machine to the next, samplers from one host to the next.
HOST_LISTS = {"control_net", "base_file", "start", "folder", "sampler_name", "scheduler"}


def test_pack_loads_without_complaint(server: ComfyServer) -> None:
    log = server.log()
    start_up = log[: log.find("got prompt")] if "got prompt" in log else log
    # The line of the import times: "   0.1 seconds: /path/custom_nodes/comfyui-zeroconv".
    timing = re.search(rf"([\d.]+) seconds(.*): .*{PACK}", start_up)
    assert timing, start_up[-2000:]
    assert "FAILED" not in timing[2]
    assert float(timing[1]) < 5.0
    assert "comfy_entrypoint in" not in start_up
    assert not [line for line in start_up.splitlines() if PACK in line and re.search("error|warn", line, re.I)]


def test_public_surface_is_unchanged(server: ComfyServer) -> None:
    """UPDATE_PUBLIC_SURFACE=1 writes the present surface, for a release that adds to it."""
    surface = public_surface(server.object_info())
    if os.environ.get("UPDATE_PUBLIC_SURFACE"):
        SURFACE.write_text(json.dumps(surface, indent=1) + "\n", encoding="utf-8")
    assert surface == json.loads(SURFACE.read_text(encoding="utf-8"))


def public_surface(object_info: dict[str, Any]) -> dict[str, Any]:
    """Ids, inputs in their order with type and limits, and outputs of our nodes."""
    return {
        name: {
            "inputs": [describe(*entry) for entry in inputs(node)],
            "outputs": [list(pair) for pair in zip(node["output_name"], node["output"], strict=True)],
            "category": node["category"],
        }
        for name, node in sorted(object_info.items())
        if name.startswith("ZeroConv")
    }


def inputs(node: dict[str, Any]) -> list[tuple[str, bool, list[Any]]]:
    """Name, whether required, and specification of every input, in order."""
    groups = (("required", True), ("optional", False))
    return [(name, must, spec) for group, must in groups for name, spec in node["input"].get(group, {}).items()]


def describe(name: str, required: bool, spec: list[Any]) -> dict[str, Any]:
    """One input without its texts, which may be improved at any time."""
    kind, details = spec[0], spec[1] if len(spec) > 1 else {}
    choices = kind if isinstance(kind, list) else details.get("options")
    described = {"name": name, "type": "COMBO" if isinstance(kind, list) else kind, "required": required}
    described |= {key: details[key] for key in OPTIONS if details.get(key) is not None}
    if choices is not None and name not in HOST_LISTS:
        described["choices"] = choices
    if name in HOST_LISTS:
        described.pop("default", None)
    return described
