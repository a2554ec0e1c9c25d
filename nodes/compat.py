"""Interface features that only newer hosts have: used where present. Nothing else in `nodes` asks for versions."""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

import comfy_api.latest
from comfy_api.latest import io

from .stand_ins.replacing import mappings
from .stand_ins.row import StandIn

SPELLINGS = {"control_net": "ControlNet", "vae": "VAE", "clip": "CLIP", "ema": "EMA", "snr": "SNR", "lora": "LoRA"}
"""Words of input names that are not written in lower case."""


def schema(**fields: Any) -> io.Schema:
    """A node schema with a label for every socket, without fields that this host does not know.

    `search_aliases` came with ComfyUI 0.11.
    """
    known = {field.name for field in dataclasses.fields(io.Schema)}
    for entry in fields["inputs"]:
        entry.display_name = entry.display_name or label(entry.id)
    for entry in fields["outputs"]:
        entry.display_name = label(entry.display_name)
    return io.Schema(**{name: value for name, value in fields.items() if name in known})


def label(name: str) -> str:
    """The label of a socket or widget, in sentence case: low_threshold is labeled "Low threshold"."""
    spelled = re.sub("control_net|[^_]+", lambda word: SPELLINGS.get(word[0], word[0]), name).replace("_", " ")
    return spelled[:1].upper() + spelled[1:]


async def offer_replacements(table: Iterable[StandIn], nodes: Mapping[str, type[io.ComfyNode]]) -> None:
    """Let the host put our nodes in the place of missing ones of other packs (ComfyUI 0.12 and later).

    nodes: ours by id.
    """
    replace_type = getattr(io, "NodeReplace", None)
    if replace_type is None:
        return
    registry = comfy_api.latest.ComfyAPI().node_replacement
    for row in table:
        replacement = row.replacement
        if replacement is None:
            continue
        await registry.register(
            replace_type(
                new_node_id=replacement.node,
                old_node_id=row.id,
                old_widget_ids=row.widgets,
                input_mapping=mappings(replacement, widget_defaults(nodes[replacement.node])),
                output_mapping=[{"new_idx": new, "old_idx": old} for old, new in enumerate(replacement.outputs)],
            )
        )


def widget_defaults(node: type[io.ComfyNode]) -> dict[str, Any]:
    """Defaults of a node's required widgets."""
    found = {}
    for widget in node.define_schema().inputs:
        if not isinstance(widget, io.WidgetInput) or widget.optional:
            continue
        options = getattr(widget, "options", None)
        default = widget.default if widget.default is not None or not options else options[0]
        if default is not None:
            found[widget.id] = default
    return found
