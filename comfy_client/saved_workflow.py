"""A workflow file as the canvas saves it, in the format that the server runs.

The format of the file is ComfyUI's workflow JSON 0.4 (docs.comfy.org, specs/workflow_json_0.4): what a node's widgets
hold is a list in the order of the node's inputs, in which the front end puts further values behind some of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Info = Mapping[str, Any]
"""A node's entry in the server's /object_info."""


def api_graph(workflow: Mapping[str, Any], object_info: Mapping[str, Info]) -> dict[str, Any]:
    """The graph of a workflow in API format; notes are left out. Raises KeyError for a node that is not there."""
    sources = {link: [str(node), slot] for link, node, slot, *_ in workflow["links"]}
    graph = {}
    for node in workflow["nodes"]:
        if node["type"] in ("Note", "MarkdownNote"):
            continue
        info = object_info[node["type"]]
        wired = {entry["name"]: sources[entry["link"]] for entry in node["inputs"] if entry["link"] is not None}
        inputs = {**dict(_widgets(node, info)), **wired}
        graph[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    return graph


def _widgets(node: Mapping[str, Any], info: Info) -> Iterator[tuple[str, Any]]:
    """Names and values of a node's widgets."""
    sockets = {entry["name"] for entry in node["inputs"] if "widget" not in entry}
    values = iter(node["widgets_values"])
    for kind in ("required", "optional"):
        for name in info["input_order"].get(kind, ()):
            if name in sockets:
                continue
            try:
                value = next(values)
            except StopIteration:  # sockets that the pack has appended since the file was saved
                return
            yield name, value
            options = (info["input"][kind][name] + [{}])[1]
            if options.get("control_after_generate") or options.get("image_upload"):
                next(values, None)  # the choice beside a seed, the button below a picture
