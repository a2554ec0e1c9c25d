"""Draw the pictures of the help pages, `js/docs/pictures/<NodeId>.webp`: help_pictures.py WEIGHTS_DIRECTORY [NODE ...]

A method that runs with real weights from the Python index is shown by a photograph beside its hint. Every other node is
shown as ComfyUI's front end draws it, after a run of the small model where it gives a picture or a text. Without ids of
nodes all are drawn; those of `DRAWN_BY_HAND` never.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from hint_gallery import hints, source_of, sources
from PIL import Image
from playwright.sync_api import Page
from torch import Tensor
from zeroconv.comfy_client.browser import SETTINGS, at_rest, chromium, open_canvas
from zeroconv.comfy_client.server import ComfyServer
from zeroconv.comfy_client.workflow import Control, Output, Prompts, Workflow
from zeroconv.demo.checkpoint import CHECKPOINT_NAME, control_name
from zeroconv.demo.pictures import PAIRS
from zeroconv.demo.run import BASE, prepare
from zeroconv.demo.run import EXAMPLE as CUP
from zeroconv.demo.templates import PHOTO, PROMPTS, SAMPLING, SIDE
from zeroconv.preprocessors.sizes import resize

PICTURES = Path(__file__).resolve().parents[1] / "js" / "docs" / "pictures"
LARGEST = 60_000
"""Bytes."""
EDGE, GAP = 384, 12
"""Pixels of a photograph and between it and its hint."""
MARGIN = 10
"""Pixels around a node."""
LEAST_WIDTH = 340
LOOK = {
    "Comfy.VueNodes.Enabled": False,
    "Comfy.ColorPalette": "dark",
    "Comfy.NodeBadge.NodeSourceBadgeMode": "None",
}
DRAWN_BY_HAND = ("ZeroConvSketch",)

CURVE = "0: 0.2, 0.3: 1 ease in-out, 0.65: 0.8 ease, 1: 0"
CONTROL = "control_v11p_sd15_canny_fp16.safetensors"
POSES = """async () => {
    const { newPerson } = await import('/extensions/comfyui-zeroconv/pose/people.js')
    const { writePoses } = await import('/extensions/comfyui-zeroconv/pose/document.js')
    const people = [newPerson('standing', 512, 512, 2), newPerson('walking', 512, 512, 3)]
    return writePoses({ width: 512, height: 512, people })
}"""
SHOW = """async ([type, values, output, leastWidth]) => {
    const { api } = await import('/scripts/api.js')
    app.graph.clear()
    for (const id of Object.keys(app.nodeOutputs)) delete app.nodeOutputs[id]
    const node = LiteGraph.createNode(type)
    node.pos = [700, 140]
    app.graph.add(node)
    for (const widget of node.widgets ?? []) {
        if (!(widget.name in values)) continue
        widget.value = values[widget.name]
        widget.callback?.(widget.value)
    }
    node.setSize([Math.max(leastWidth, node.size[0]), Math.max(node.computeSize()[1], node.size[1])])
    app.canvas.ds.scale = 1
    app.canvas.ds.offset = [0, 0]
    app.canvas.setDirty(true, true)
    const id = String(node.id)
    if (output) api.dispatchCustomEvent('executed', { node: id, display_node: id, output, prompt_id: '' })
}"""
BOX = """() => {
    app.canvas.setDirty(true, true)
    const [x, y, width, height] = app.graph.nodes[0].getBounding()
    const canvas = app.canvas.canvas.getBoundingClientRect()
    const waiting = [...document.images].filter((image) => !image.complete).length
    return { x: x + canvas.x, y: y + canvas.y, width, height, waiting }
}"""


@dataclass(frozen=True)
class Scene:
    """How a node is pictured: values of its widgets, and the results of a run."""

    values: Mapping[str, Any] = field(default_factory=dict)
    output: Mapping[str, Any] | None = None


def runs() -> Workflow:
    """A graph in which the nodes that show something run, each once."""
    flow = Workflow()
    model, clip, vae = flow.load_checkpoint(CHECKPOINT_NAME)
    latent = flow.empty_latent(SIDE, SIDE)
    prompts = Prompts(flow.encode_prompt(clip, PROMPTS["canny"]), flow.encode_prompt(clip, ""))
    schedule = Output(flow.add("ZeroConvSchedule", keyframes=CURVE, counting="timesteps"), 0)
    network = Output(flow.add("ZeroConvRecord", control_net=flow.load_control(control_name("canny"))), 0)
    edges = flow.canny(flow.load_image(PHOTO))
    controlled = flow.apply(prompts, network, edges, Control(), schedule=schedule)
    latents = [flow.sample(model, each, latent, SAMPLING) for each in (controlled, prompts)]
    first, second = (flow.decode(vae, each) for each in latents)

    shown = {"conditioning": controlled.positive, "latent": latent}
    steps = {"steps": SAMPLING.steps, "sampler_name": SAMPLING.sampler, "scheduler": SAMPLING.scheduler}
    flow.add("ZeroConvPreviewHint", **shown)
    flow.add("ZeroConvPreviewSteps", model=model, **shown, **steps, denoise=1.0, start_at_step=0, end_at_step=10000)
    flow.add("ZeroConvReport", conditioning=controlled.positive, latent=latents[0])
    flow.add("ZeroConvDifference", first=first, second=second, gain=0.0)
    flow.add("ZeroConvInspect", control_net=CONTROL)
    cup = {"image": flow.load_image(CUP), "resolution": 384, "result_size": "processing"}
    flow.add("ZeroConvPreprocess", method="canny_pyramid", compare=False, settings="", **cup)
    return flow


def scenes(server: ComfyServer) -> dict[str, Scene]:
    """The scene of every node that has one of its own."""
    graph = runs().to_api()
    outputs = server.queue(graph).outputs
    own = {
        "ZeroConvLoad": Scene({"control_net": CONTROL}),
        "ZeroConvConvert": Scene({"control_net": CONTROL, "name": "canny-lora"}),
        "ZeroConvItemStrengths": Scene({"strengths": "1, 0.8, 0.5, 0.2"}),
        "ZeroConvTrain": Scene({"name": "cups"}),
        "ZeroConvTrainingFolder": Scene({"folder": PAIRS}),
        "ZeroConvTrainingImages": Scene({"prompts": "a cup on a table"}),
    }
    for node, content in graph.items():
        if content["class_type"].startswith("ZeroConv"):
            values = {name: value for name, value in content["inputs"].items() if not isinstance(value, list)}
            own.setdefault(content["class_type"], Scene(values, outputs.get(node)))
    return own


def draw_nodes(server: ComfyServer, wanted: Collection[str]) -> Iterator[tuple[str, Image.Image]]:
    """Nodes as the front end draws them, dark, two pixels of the picture to one of the page."""
    server.post("/api/settings", {**SETTINGS, **LOOK})
    drawn = scenes(server)
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1600, "height": 1400}, device_scale_factor=2)
        open_canvas(page, server)
        drawn["ZeroConvPose"] = Scene({"poses": page.evaluate(POSES)})
        for node in wanted:
            yield node, draw_node(page, node, drawn.get(node, Scene()))


def draw_node(page: Page, node: str, scene: Scene) -> Image.Image:
    """The only node of a graph, cropped from the page."""
    page.evaluate(SHOW, [node, dict(scene.values), scene.output, LEAST_WIDTH])
    if scene.output and "images" in scene.output:
        page.wait_for_function("() => app.graph.nodes[0].imgs?.length")
    box = at_rest(page, BOX, frames=30)
    clip = {"x": box["x"] - MARGIN, "y": box["y"] - MARGIN}
    clip |= {"width": box["width"] + 2 * MARGIN, "height": box["height"] + 2 * MARGIN}
    return Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")


def draw_hints(folder: Path) -> Iterator[tuple[str, Image.Image]]:
    """For each method that can run: a photograph and the hint made of it, side by side."""
    pictures = sources()
    for method, hint in hints(folder):
        sheet = Image.new("RGBA", (2 * EDGE + GAP, EDGE))
        sheet.paste(pixels(pictures[source_of(method)]), (0, 0))
        sheet.paste(pixels(hint), (EDGE + GAP, 0))
        yield method.node_id, sheet


def pixels(picture: Tensor) -> Image.Image:
    """(1, H, W, 3) at the size of the pictures."""
    small = resize(picture, (EDGE, EDGE))[0].clamp(0, 1).mul(255).round().byte().numpy()
    return Image.fromarray(np.ascontiguousarray(small))


def save(node: str, picture: Image.Image) -> None:
    """As well as fits: without loss, or with the least that makes the file small enough."""
    for quality in ({"lossless": True}, *({"quality": quality} for quality in range(90, 30, -10))):
        file = io.BytesIO()
        picture.save(file, "WEBP", method=6, **quality)
        if len(file.getvalue()) <= LARGEST:
            (PICTURES / f"{node}.webp").write_bytes(file.getvalue())
            return
    raise ValueError(f"The picture of {node} is too large: {picture.size}.")


def main() -> None:
    """Draw what was asked for."""
    weights, *asked = sys.argv[1:]
    PICTURES.mkdir(parents=True, exist_ok=True)
    done = set(DRAWN_BY_HAND)
    for node, picture in draw_hints(Path(weights)):
        done.add(node)
        if not asked or node in asked:
            save(node, picture)
    with prepare(BASE) as server:
        nodes = [name for name in server.object_info() if name.startswith("ZeroConv") and name not in done]
        for node, picture in draw_nodes(server, [name for name in nodes if not asked or name in asked]):
            save(node, picture)


if __name__ == "__main__":
    main()
