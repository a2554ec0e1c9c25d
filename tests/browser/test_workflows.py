"""The workflows that the pack brings open, run and show their picture in the real front end."""

import json
from pathlib import Path

import pytest
from support.checkpoints import SD15_SMALL, cached
from zeroconv.comfy_client.server import REPOSITORY, ComfyServer
from zeroconv.demo.photo import photo
from zeroconv.demo.pictures import PAIRS, write_pairs
from zeroconv.demo.scenes.world import draw_scenes
from zeroconv.demo.templates import CANNY, SCRIBBLE

from .conftest import Canvas

WORKFLOWS = sorted((REPOSITORY / "workflows").glob("*.json"))
# Which of the generated files stands in for a file that a workflow names.
STAND_INS = {
    "checkpoints": ("sd15-checkpoint", "checkpoint", 30),
    "controlnet": ("sd15-control1", "controlnet", 21),
}
PIXELS = 64
# What else makes a workflow small enough for a test: node type, widget, value.
SHORTER = {
    "13 Train Your Own": [
        ("ZeroConvTrain", "steps", 1),
        ("ZeroConvTrain", "batch", 1),
        ("ZeroConvTrainingFolder", "resolution", 64),
    ]
}


@pytest.fixture(scope="module", autouse=True)
def files(server: ComfyServer) -> None:
    """Generated models and a photo under the names that the workflows use."""
    photo().save(server.base / "input" / "example.png")
    write_pairs(server.base / "input" / PAIRS, draw_scenes(2, seed=0, pair_share=0.0))
    for workflow in WORKFLOWS:
        for node in json.loads(workflow.read_text(encoding="utf-8"))["nodes"]:
            for model in node["properties"].get("models", ()):
                name, recipe, seed = STAND_INS[model["directory"]]
                place = server.base / "models" / model["directory"] / model["name"]
                if not place.exists():
                    place.symlink_to(cached(name, recipe, SD15_SMALL, seed))


RUN_IN_BOTH = CANNY
"""The server does the same for either renderer, so that the others run from one of them."""
# The others need weights which no index carries or tests do not fetch, or folders; a scribble runs in test_scribble.py.
RUN = [w for w in WORKFLOWS if w.stem[:2] in ("01", "07", "08", "13")]
OPENED_ONLY = [w for w in WORKFLOWS if w not in RUN and w.stem != SCRIBBLE]


@pytest.mark.parametrize("workflow", OPENED_ONLY, ids=lambda path: path.stem)
def test_workflow_opens_with_all_its_nodes(canvas: Canvas, workflow: Path, request: pytest.FixtureRequest) -> None:
    canvas.open(workflow)
    assert canvas.unknown_nodes() == []
    assert canvas.dialogs() == []
    assert canvas.errors == []
    canvas.screenshot(f"{request.node.callspec.id}-opened")


@pytest.mark.parametrize("workflow", RUN, ids=lambda path: path.stem)
def test_workflow_opens_runs_and_shows_its_image(
    canvas: Canvas, server: ComfyServer, workflow: Path, request: pytest.FixtureRequest
) -> None:
    canvas.open(workflow)
    assert canvas.unknown_nodes() == []
    assert canvas.dialogs() == []
    canvas.screenshot(f"{request.node.callspec.id}-opened")
    if request.node.callspec.params["window"] and workflow.stem != RUN_IN_BOTH:
        return
    canvas.set_widget("EmptyLatentImage", "width", PIXELS)
    canvas.set_widget("EmptyLatentImage", "height", PIXELS)
    canvas.set_widget("KSampler", "steps", 2)
    for shorter in SHORTER.get(workflow.stem, ()):
        canvas.set_widget(*shorter)
    canvas.queue()
    wait_for_images(canvas, "SaveImage")
    assert canvas.images("SaveImage") == [[PIXELS, PIXELS]]
    assert [min(hint) for hint in canvas.images("ZeroConvCanny")] == [512] * count(workflow, "ZeroConvCanny")
    assert len(canvas.images("ZeroConvTrain")) == count(workflow, "ZeroConvTrain")
    assert canvas.dialogs() == []
    assert canvas.errors == []
    canvas.screenshot(f"{request.node.callspec.id}-done")


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_saved_again_it_is_the_same_graph(canvas: Canvas, workflow: Path) -> None:
    """Opening and saving loses nothing: every widget and wire is where the file says."""
    canvas.open(workflow)
    written = json.loads(workflow.read_text(encoding="utf-8"))
    saved = canvas.page.evaluate("app.graph.serialize()")
    assert wiring(saved) == wiring(written)
    values = {node["id"]: node.get("widgets_values") for node in saved["nodes"]}
    for node in written["nodes"]:
        assert (values[node["id"]] or [])[: len(node["widgets_values"])] == node["widgets_values"], node["type"]


def count(workflow: Path, node_type: str) -> int:
    """How many nodes of a type a workflow file has."""
    return [node["type"] for node in json.loads(workflow.read_text(encoding="utf-8"))["nodes"]].count(node_type)


def wiring(graph: dict) -> set[tuple]:
    """Every wire as (source node, slot, target node, input name): slots of inputs may be renumbered."""
    nodes = {node["id"]: node for node in graph["nodes"]}
    return {
        (source, slot, target, nodes[target]["inputs"][place]["name"])
        for _, source, slot, target, place, _ in graph["links"]
    }


def wait_for_images(canvas: Canvas, node_type: str) -> None:
    canvas.page.wait_for_function(
        """(type) => app.graph.nodes.filter((n) => n.type === type)
            .every((n) => app.nodeOutputs?.[n.id]?.images?.length)""",
        arg=node_type,
        timeout=120_000,
    )
