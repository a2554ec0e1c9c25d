"""Replacements that newer hosts offer for nodes of packs that are not installed, from the same rows as the nodes."""

from collections.abc import Iterable, Mapping
from typing import Any

from ...host.packs import is_registered
from .row import Replacement, StandIn


def mappings(replacement: Replacement, defaults: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Where each of our node's inputs gets its value: from an old input, or a value of its own.

    defaults: of our node's widgets, for those that the row leaves out; the host fills in none.
    """
    carried: list[dict[str, Any]] = [{"new_id": ours, "old_id": old} for ours, old in replacement.inputs.items()]
    values = {**defaults, **replacement.values}
    return carried + [
        {"new_id": name, "set_value": value} for name, value in values.items() if name not in replacement.inputs
    ]


def complete_missing(rows: Iterable[StandIn], prompt: Mapping[str, Any]) -> None:
    """Give the nodes of a prompt that no pack has all inputs of their rows, since the host looks each of them up.

    It raises KeyError for one that is absent, and for a node without `_meta`, as programs send it; the prompt is lost.
    What is required and not there is None, so that the node of ours says what it misses.
    """
    known = {row.id: row for row in rows}
    for node in prompt.values():
        row = known.get(str(node.get("class_type"))) if isinstance(node, dict) else None
        if row is not None and isinstance(node.get("inputs"), dict) and not is_registered(row.id):
            node.setdefault("_meta", {})
            node["inputs"].update({item.id: item.when_absent for item in row.inputs if item.id not in node["inputs"]})
