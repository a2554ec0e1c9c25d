"""The small model that ships, in the real server: what `make demo` shows is true."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from zeroconv.comfy_client.server import REPOSITORY, ComfyServer, Result
from zeroconv.demo.checkpoint import write_models
from zeroconv.demo.pictures import (
    LEFT_SCENE,
    PHOTO_SCENE,
    RIGHT_SCENE,
    demo_graph,
    saved_graph,
    write_inputs,
)
from zeroconv.demo.scenes.hints import object_mask as true_mask
from zeroconv.demo.scenes.measures import agreement, color_name, floor_names, object_mask
from zeroconv.demo.scenes.render import render
from zeroconv.demo.scenes.world import Scenes
from zeroconv.demo.templates import CANNY, SIDE

HALF = SIDE // 2


@pytest.fixture(scope="module")
def rows(server: ComfyServer) -> list[list[torch.Tensor]]:
    """The pictures of the contact sheet, each (1, 3, S, S) in 0..1."""
    write_models(server.base / "models")
    write_inputs(server.base / "input")
    graph = demo_graph()
    result: Result = server.queue(graph.workflow.to_api())
    return [[read(result.files(node)[0]) for _, node in row] for row in graph.saved]


def read(file: Path) -> torch.Tensor:
    with Image.open(file) as picture:
        return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)[None].float() / 255


def overlap(image: torch.Tensor, scene: Scenes, columns: slice = slice(None)) -> float:
    """Intersection over union of the object seen in `image` and that of the scene, in some columns."""
    return agreement(object_mask(image)[..., columns], true_mask(render(scene))[..., columns]).item()


def test_the_object_goes_where_the_edges_are(rows: list[list[torch.Tensor]]) -> None:
    _, without, half, full = rows[0]
    assert overlap(full, PHOTO_SCENE) >= 0.8
    assert overlap(without, PHOTO_SCENE) <= 0.35
    assert overlap(without, PHOTO_SCENE) < overlap(half, PHOTO_SCENE) <= overlap(full, PHOTO_SCENE) + 0.05


def test_the_prompt_still_decides_the_colors(rows: list[list[torch.Tensor]]) -> None:
    full = rows[0][3]
    assert floor_names(full) == ["white"]
    assert color_name(full[0], object_mask(full)[0]) == "purple"


def test_two_chained_controls_both_act(rows: list[list[torch.Tensor]]) -> None:
    without, both = rows[1][2:]
    left, right = slice(None, HALF), slice(HALF, None)
    assert overlap(both, LEFT_SCENE, left) >= 0.7
    assert overlap(both, RIGHT_SCENE, right) >= 0.7
    assert overlap(without, LEFT_SCENE, left) <= 0.35
    assert overlap(without, RIGHT_SCENE, right) <= 0.35


def test_a_saved_workflow_draws_what_its_hint_shows(server: ComfyServer, rows: list[list[torch.Tensor]]) -> None:
    """The Canny workflow as the demo serves it, read as the canvas reads it."""
    graph, saving = saved_graph(REPOSITORY / "workflows" / f"{CANNY}.json", server.object_info())
    (file,) = server.queue(graph).files(saving)
    assert overlap(read(file), PHOTO_SCENE) >= 0.8


def test_comfyui_loads_our_controlnet_and_makes_the_same_picture(
    server: ComfyServer, rows: list[list[torch.Tensor]]
) -> None:
    """The last picture of each row again, with ComfyUI's own loader and apply node; what nobody saves does not run."""
    graph = demo_graph()
    last = [row[-1] for row in graph.saved]
    unsaved = {node for row in graph.saved for _, node in row[:-1]}
    api = {node: content for node, content in graph.workflow.to_api().items() if node not in unsaved}
    for node in api.values():
        if node["class_type"] == "ZeroConvLoad":
            name = node["inputs"]["control_net"]
            node.update(class_type="ControlNetLoader", inputs={"control_net_name": name})
        elif node["class_type"] == "ZeroConvApply":
            node["class_type"] = "ControlNetApplyAdvanced"
    result = server.queue(api)
    for row, (caption, node) in zip(rows, last, strict=True):
        core = read(result.files(node)[0])
        assert (core - row[-1]).abs().max() <= 2 / 255, caption
