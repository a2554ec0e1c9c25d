"""The workflows that differ only in the hint are what their script writes today, with the widgets of today's nodes."""

import json

from support.scripts import load_script
from zeroconv.preprocessors.catalogue import preprocessors

SCRIPT = load_script("hint_workflows")


def test_files_are_up_to_date() -> None:
    """`python scripts/hint_workflows.py` writes them."""
    stale = [path.name for path, text in SCRIPT.written().items() if path.read_text(encoding="utf-8") != text]
    assert not stale


def test_every_wire_joins_the_slots_that_name_it() -> None:
    for path, text in SCRIPT.written().items():
        graph = json.loads(text)
        nodes = {node["id"]: node for node in graph["nodes"]}
        for number, source, slot, target, place, kind in graph["links"]:
            assert number in nodes[source]["outputs"][slot]["links"], path.name
            assert nodes[target]["inputs"][place]["link"] == number, path.name
            assert nodes[source]["outputs"][slot]["type"] == kind, path.name


def test_notes_say_how_to_get_the_weights_of_the_hint_and_name_no_command() -> None:
    for name, template in SCRIPT.TEMPLATES.items():
        note, method = (
            SCRIPT.workflow(name, template)["nodes"][3]["widgets_values"][0],
            preprocessors()[template.method],
        )
        assert (f"*Fetch* on *{method.label}*" in note) == bool(method.weights)
        assert "`" not in note
