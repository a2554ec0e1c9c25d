"""Workflows of other packs: the table fits our nodes, and a host that replaces nodes runs it."""

import asyncio

import pytest
from support.comfy_host import import_host

import_host()

from comfy_api.latest import io
from zeroconv.nodes import apply, load, preprocess
from zeroconv.nodes.compat import offer_replacements, widget_defaults
from zeroconv.nodes.replacements import REPLACEMENTS, mappings

NODES = {node.define_schema().node_id: node for topic in (apply, load, preprocess) for node in topic.NODES}
FILES = ("control_net", "base_file")
BY_OLD = {replacement.old: replacement for replacement in REPLACEMENTS}


def test_every_old_node_has_one_place():
    assert len(BY_OLD) == len(REPLACEMENTS) >= 30


@pytest.mark.parametrize("old", BY_OLD)
def test_our_node_gets_all_that_it_requires_and_nothing_else(old):
    replacement = BY_OLD[old]
    inputs = {item.id: item for item in NODES[replacement.new].define_schema().inputs}
    mapped = mappings(replacement, widget_defaults(NODES[replacement.new]))
    names = [entry["new_id"] for entry in mapped]
    assert len(set(names)) == len(names)
    assert set(names) <= set(inputs)
    assert {name for name, item in inputs.items() if not item.optional} <= set(names)
    for entry in mapped:
        options = getattr(inputs[entry["new_id"]], "options", None)
        if options and "set_value" in entry:
            assert entry["set_value"] in options


@pytest.mark.parametrize("old", BY_OLD)
def test_only_values_of_the_same_type_are_carried_over(old):
    """What is a word or a file name there is never wired into a switch or a choice of ours."""
    replacement = BY_OLD[old]
    inputs = {item.id: item for item in NODES[replacement.new].define_schema().inputs}
    carried = {mine for mine, theirs in replacement.inputs.items() if theirs in replacement.widgets}
    numbers = (io.Int.Input, io.Float.Input)
    assert all(isinstance(inputs[name], numbers) or name in FILES for name in carried)


@pytest.mark.skipif(not hasattr(io, "NodeReplace"), reason="this host replaces no nodes")
def test_a_newer_host_replaces_them(monkeypatch):
    import server
    from app.node_replace_manager import NodeReplaceManager

    import nodes

    manager = NodeReplaceManager()
    instance = type("Server", (), {"node_replace_manager": manager})()
    monkeypatch.setattr(server.PromptServer, "instance", instance, raising=False)
    asyncio.run(offer_replacements(REPLACEMENTS, NODES))
    monkeypatch.setattr(nodes, "NODE_CLASS_MAPPINGS", NODES)
    picture = {"class_type": "LoadImage", "inputs": {"image": "a.png"}, "_meta": {}}
    inputs = {"image": ["1", 0], "low_threshold": 50, "high_threshold": 90, "resolution": 512}
    prompt = {"1": picture, "2": {"class_type": "CannyEdgePreprocessor", "inputs": inputs, "_meta": {}}}
    manager.apply_replacements(prompt)
    assert prompt["2"]["class_type"] == "ZeroConvCanny"
    assert inputs.items() <= prompt["2"]["inputs"].items()


@pytest.mark.skipif(hasattr(io, "NodeReplace"), reason="this host replaces nodes")
def test_an_older_host_is_left_alone():
    asyncio.run(offer_replacements(REPLACEMENTS, NODES))
