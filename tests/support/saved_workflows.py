"""Workflows as the front end saves them, and what the host's validation says of some of their nodes."""

import asyncio
import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from support.comfy_host import import_host

import_host()

from comfy_api.latest import io
from zeroconv.nodes.checked import check_inputs
from zeroconv.nodes.stand_ins.node import node_of
from zeroconv.nodes.stand_ins.row import StandIn

import nodes

NOT_RUN = ("Note", "MarkdownNote", "Reroute", "PrimitiveNode")
"""Nodes of the front end alone."""


def workflows_in(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every workflow in a folder, and its file's name: JSON, and what ComfyUI writes into pictures."""
    from PIL import Image

    for file in sorted(folder.rglob("*.json")):
        found = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(found, dict) and isinstance(found.get("nodes"), list):
            yield file.name, found
    for file in sorted(folder.rglob("*.png")):
        text = Image.open(file).info.get("workflow")
        if text:
            yield file.name, json.loads(text)


def types_of(workflow: Mapping[str, Any]) -> set[str]:
    """The ids of its nodes."""
    return {node["type"] for node in workflow["nodes"]} - set(NOT_RUN)


def as_prompt(workflow: Mapping[str, Any], rows: Mapping[str, StandIn]) -> dict[str, Any]:
    """What the front end would queue of it. Nodes without a row have no values."""
    sources = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    return {
        str(node["id"]): {"class_type": node["type"], "inputs": _inputs(node, sources, rows.get(node["type"]))}
        for node in workflow["nodes"]
        if node["type"] not in NOT_RUN
    }


def _inputs(node: Mapping[str, Any], sources: Mapping[int, list[Any]], row: StandIn | None) -> dict[str, Any]:
    """Widgets take the saved values in their order, and their defaults where an older version saved fewer."""
    values: dict[str, Any] = {}
    if row is not None:
        saved = node.get("widgets_values") or []
        usual = {item.id: item.default for item in row.inputs if item.is_widget}
        values = {**usual, **dict(zip(row.widgets, saved, strict=False))}
        values.pop("control_after_generate", None)
    wired = {
        entry["name"]: sources[entry["link"]] for entry in node.get("inputs") or () if entry.get("link") in sources
    }
    return {**values, **wired}


def refusals(workflow: Mapping[str, Any], rows: Mapping[str, StandIn]) -> list[str]:
    """What is wrong with the nodes that have a row: by the host's validation, and by ours when they run.

    Files that are not here do not count.
    """
    prompt = as_prompt(workflow, rows)
    own = {name: node_of(row) for name, row in rows.items()}
    before, nodes.NODE_CLASS_MAPPINGS = nodes.NODE_CLASS_MAPPINGS, own | _sources(workflow, rows)
    try:
        return [
            f"{node['class_type']}: {refusal}"
            for number, node in prompt.items()
            if node["class_type"] in rows
            for refusal in _refusals(prompt, number, rows[node["class_type"]], own[node["class_type"]])
        ]
    finally:
        nodes.NODE_CLASS_MAPPINGS = before


def _refusals(prompt: Mapping[str, Any], number: str, row: StandIn, node: type[io.ComfyNode]) -> Iterator[str]:
    files = {item.id for item in row.inputs if item.listing is not None}
    _, errors, _ = asyncio.run(importlib.import_module("execution").validate_inputs("saved", prompt, number, {}))
    for error in errors:
        if error["extra_info"].get("input_name") not in files:
            yield f"{error['message']}: {error['details']}"
    literal = {name: value for name, value in prompt[number]["inputs"].items() if not isinstance(value, list)}
    try:
        check_inputs(node.define_schema(), {name: value for name, value in literal.items() if name not in files})
    except ValueError as error:
        yield str(error)


def _sources(workflow: Mapping[str, Any], rows: Mapping[str, StandIn]) -> dict[str, type[io.ComfyNode]]:
    """Nodes with the other types' outputs, as the workflow says them, and no inputs."""
    return {
        node["type"]: _source(node["type"], [out["type"] for out in node.get("outputs") or ()])
        for node in workflow["nodes"]
        if node["type"] not in rows
    }


def _source(name: str, kinds: list[str]) -> type[io.ComfyNode]:
    outputs = [io.Custom(kind).Output() for kind in kinds]
    schema = io.Schema(node_id=name, category="tests", inputs=[], outputs=outputs)
    body = {"define_schema": classmethod(lambda cls: schema), "execute": classmethod(lambda cls: None)}
    return type("Source", (io.ComfyNode,), body)
