"""What only newer hosts have: used when present, done without when not. The one place that decides."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import comfy_api.latest
from comfy_api.latest import io

from .replacements import Replacement, mappings


def schema(**fields: Any) -> io.Schema:
    """A node schema without the fields that this host does not know (`search_aliases` before ComfyUI 0.11)."""
    known = {field.name for field in dataclasses.fields(io.Schema)}
    return io.Schema(**{name: value for name, value in fields.items() if name in known})


async def offer_replacements(table: Iterable[Replacement], nodes: Mapping[str, type[io.ComfyNode]]) -> None:
    """Let the host put our nodes in the place of missing ones of other packs (ComfyUI 0.12 and later).

    nodes: ours by id.
    """
    replace_type = getattr(io, "NodeReplace", None)
    if replace_type is None:
        return
    registry = comfy_api.latest.ComfyAPI().node_replacement
    for replacement in table:
        await registry.register(
            replace_type(
                new_node_id=replacement.new,
                old_node_id=replacement.old,
                old_widget_ids=list(replacement.widgets),
                input_mapping=mappings(replacement, widget_defaults(nodes[replacement.new])),
                output_mapping=[{"new_idx": new, "old_idx": old} for old, new in enumerate(replacement.outputs)],
            )
        )


def widget_defaults(node: type[io.ComfyNode]) -> dict[str, Any]:
    """What a node's required widgets hold when it is new."""
    found = {}
    for widget in node.define_schema().inputs:
        if not isinstance(widget, io.WidgetInput) or widget.optional:
            continue
        options = getattr(widget, "options", None)
        default = widget.default if widget.default is not None or not options else options[0]
        if default is not None:
            found[widget.id] = default
    return found
