"""The pictures of `make demo`: the scenes behind its hints and the graph that samples them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..comfy_client.saved_workflow import api_graph
from ..comfy_client.workflow import Control, Image, Prompts, Workflow
from .checkpoint import CHECKPOINT_NAME, control_name
from .learning.evaluate import save_picture
from .scenes.hints import edges, scribble
from .scenes.render import render
from .scenes.world import COLOR_NAMES, FLOOR_NAMES, SHAPES, Scenes, captions, draw_scenes
from .templates import CANNY, PHOTO, PROMPTS, SAMPLING, SIDE, demo_copy

LEFT_PHOTO, SCRIBBLE = "zeroconv-demo-ball.png", "zeroconv-demo-scribble.png"
PAIR_PROMPT = "a red ball and a blue cone on a grey floor"
PAIRS, PAIR_COUNT = "zeroconv-pairs", 24

Pictures = Sequence[Sequence[tuple[str, Path]]]
"""Rows of captions and picture files."""


@dataclass(frozen=True)
class DemoGraph:
    """workflow: the graph. saved: rows of captions and the nodes that save their pictures."""

    workflow: Workflow
    saved: list[list[tuple[str, str]]]


def one_object(caption: str, centre: tuple[float, float], radius: float) -> Scenes:
    """The scene of a caption such as "a red ball on a white floor", its object at `centre`, x right and y up, -1..1."""
    _, color, shape, _, _, floor, _ = caption.split()
    none = torch.zeros(1, 2, dtype=torch.long)
    return Scenes(
        present=torch.tensor([[True, False]]),
        shape=none + SHAPES.index(shape),
        color=none + COLOR_NAMES.index(color),
        floor=torch.tensor([FLOOR_NAMES.index(floor)]),
        centre=torch.tensor([[centre, centre]]),
        radius=torch.full((1, 2), radius),
        turn=torch.full((1, 2), 0.6),
        light=torch.nn.functional.normalize(torch.tensor([[-0.5, 1.0, 0.65]]), dim=1),
    )


PHOTO_SCENE = one_object("a green cone on a brown floor", (0.45, 0.4), 0.42)
LEFT_SCENE = one_object("a red ball on a grey floor", (-0.45, 0.5), 0.34)
RIGHT_SCENE = one_object("a blue cone on a grey floor", (0.45, 0.25), 0.36)


def write_inputs(folder: Path) -> None:
    """The photos and the scribble, as PNG files in ComfyUI's input folder, and pairs to train with."""
    write_pairs(folder / PAIRS, draw_scenes(PAIR_COUNT, seed=0, pair_share=0.0))
    for name, image in (
        (PHOTO, render(PHOTO_SCENE).image),
        (LEFT_PHOTO, render(LEFT_SCENE).image),
        (SCRIBBLE, scribble(render(RIGHT_SCENE))),
    ):
        save_picture(image[0], folder / name)


def write_pairs(folder: Path, scenes: Scenes, side: int = SIDE) -> None:
    """A data set for training: pictures of scenes with captions, and in a folder of their own their edges."""
    rendering = render(scenes, side)
    (folder / "conditioning_data").mkdir(parents=True, exist_ok=True)
    for number, (image, hint, caption) in enumerate(
        zip(rendering.image, edges(rendering), captions(scenes), strict=True)
    ):
        save_picture(image, folder / f"{number:03}.png")
        save_picture(hint, folder / "conditioning_data" / f"{number:03}.png")
        (folder / f"{number:03}.txt").write_text(caption, encoding="utf-8")


def demo_graph() -> DemoGraph:
    """Edges of a photo at strength 0, 0.5 and 1; then edges on the left chained with a scribble on the right."""
    workflow = Workflow()
    checkpoint = workflow.load_checkpoint(CHECKPOINT_NAME)
    empty, latent = workflow.encode_prompt(checkpoint.clip, ""), workflow.empty_latent(SIDE, SIDE)

    def picture(prompts: Prompts) -> str:
        sampled = workflow.sample(checkpoint.model, prompts, latent, SAMPLING)
        return workflow.save_image(workflow.decode(checkpoint.vae, sampled))

    def applied(prompts: Prompts, kind: str, hint: Image, strength: float = 1.0) -> Prompts:
        network = workflow.load_control(control_name(kind))
        return workflow.apply(prompts, network, hint, Control(strength))

    one = Prompts(workflow.encode_prompt(checkpoint.clip, PROMPTS[CANNY]), empty)
    edges = workflow.canny(workflow.load_image(PHOTO))
    first = [("hint: Canny", workflow.save_image(edges)), ("without control", picture(one))]
    first += [(f"strength {strength}", picture(applied(one, "canny", edges, strength))) for strength in (0.5, 1.0)]
    pair = Prompts(workflow.encode_prompt(checkpoint.clip, PAIR_PROMPT), empty)
    ball, drawn = workflow.canny(workflow.load_image(LEFT_PHOTO)), workflow.load_image(SCRIBBLE)
    second = [("left hint: Canny", workflow.save_image(ball)), ("right hint: scribble", workflow.save_image(drawn))]
    second.append(("without control", picture(pair)))
    chained = applied(applied(pair, "canny", ball), "scribble", drawn)
    second.append(("both, chained", picture(chained)))
    return DemoGraph(workflow, [first, second])


def saved_graph(path: Path, object_info: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """A workflow of the pack that the small model can draw, in API format, and its saving node."""
    workflow = json.loads(path.read_text(encoding="utf-8"))
    graph = api_graph(demo_copy(workflow, PROMPTS[path.stem]), object_info)
    return graph, next(node for node, content in graph.items() if content["class_type"] == "SaveImage")
