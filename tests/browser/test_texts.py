"""What a run tells is seen: as text on the node that ran, on nodes wide enough, in a toast for what did not run."""

from typing import Any

import pytest
import torch
from playwright.sync_api import expect
from safetensors.torch import save_file
from zeroconv.comfy_client.browser import at_rest
from zeroconv.comfy_client.server import ComfyServer
from zeroconv.demo.pictures import PAIRS, write_pairs
from zeroconv.demo.scenes.world import draw_scenes
from zeroconv.preprocessors.networks.hed import HED

from .conftest import Canvas

ADD_BESIDE = """(types) => {
    app.graph.clear()
    let x = 150
    for (const type of types) {
        const node = LiteGraph.createNode(type)
        node.pos = [x, 200]
        app.graph.add(node)
        x += node.size[0] + 40
    }
    app.canvas.ds.scale = 0.7
    app.canvas.ds.offset = [0, 0]
    app.canvas.setDirty(true, true)
}"""
ADD = """([type, values]) => {
    app.graph.clear()
    const node = LiteGraph.createNode(type)
    node.pos = [150, 150]
    app.graph.add(node)
    for (const [name, value] of Object.entries(values)) node.widgets.find((w) => w.name === name).value = value
    app.canvas.ds.scale = 1
    app.canvas.ds.offset = [0, 0]
    app.canvas.setDirty(true, true)
}"""
LIES_IN_NODE = """() => {
    const [node] = app.graph.nodes
    const box = document.querySelector('.zeroconv-text').getBoundingClientRect()
    const [left, top] = [node.pos[0], node.pos[1]]
    return box.left >= left && box.right <= left + node.size[0] + 1 && box.bottom <= top + node.size[1] + 1
        && box.top > top && box.width > 300
}"""
WHOLE = """() => {
    const text = document.querySelector('.zeroconv-text').shadowRoot.querySelector('.text')
    return text.scrollHeight <= text.clientHeight + 1 || text.clientHeight > 300
}"""
CONTROL = "sd15-1.safetensors"
WEIGHTS = "hed"


@pytest.fixture(scope="module", autouse=True)
def files(server: ComfyServer) -> None:
    """A folder of pairs, and weights that are there already, so that nothing is fetched."""
    write_pairs(server.base / "input" / PAIRS, draw_scenes(2, seed=0, pair_share=0.0))
    network = {key: torch.zeros_like(value) for key, value in HED().state_dict().items()}
    save_file(network, server.base / "models" / "preprocessors" / "ControlNetHED.safetensors")


TOLD: list[tuple[str, dict[str, Any], str]] = [
    ("ZeroConvInspect", {"control_net": CONTROL}, "SD1.5"),
    ("ZeroConvConvert", {"control_net": CONTROL, "dtype": "fp16"}, "converted.safetensors"),
    ("ZeroConvFetchWeights", {"weights": WEIGHTS}, "is there already"),
    ("ZeroConvTrainingFolder", {"folder": PAIRS, "resolution": 64}, "2 pairs"),
]


@pytest.mark.parametrize(("node", "values", "told"), TOLD, ids=lambda value: value if isinstance(value, str) else "")
def test_text_of_a_run_stands_on_its_node(
    canvas: Canvas, server: ComfyServer, node: str, values: dict[str, Any], told: str
) -> None:
    if node == "ZeroConvConvert":
        (server.base / "models" / "controlnet" / "converted.safetensors").unlink(missing_ok=True)
        values = {**values, "name": "converted"}
    canvas.page.evaluate(ADD, [node, values])
    canvas.queue()
    text = canvas.page.locator(".zeroconv-text")
    expect(text).to_contain_text(told, timeout=60_000)
    canvas.page.wait_for_function(LIES_IN_NODE)
    canvas.page.wait_for_function(WHOLE)
    canvas.screenshot(f"text-{node}")
    assert canvas.errors == []


def test_nodes_that_show_plots_open_wide_enough_to_read(canvas: Canvas) -> None:
    plots = ["ZeroConvReport", "ZeroConvPreviewSteps", "ZeroConvPreviewHint"]
    canvas.page.evaluate(ADD_BESIDE, plots)
    sizes = at_rest(canvas.page, "() => app.graph.nodes.map(({ size }) => [...size])")
    assert [width >= least for (width, _), least in zip(sizes, (700, 700, 450), strict=True)] == [True] * 3
    assert all(height > 400 for _, height in sizes)


def test_what_the_server_leaves_out_is_told(canvas: Canvas) -> None:
    """Newer front ends open a box of their own for it."""
    canvas.page.evaluate(ADD_BESIDE, ["ZeroConvInspect", "ZeroConvReport"])
    canvas.set_widget("ZeroConvInspect", "control_net", CONTROL)
    canvas.queue()
    toast = canvas.page.get_by_role("alert").filter(has_text="Report ControlNets: Required input is missing").first
    box = canvas.page.get_by_test_id("error-overlay")
    expect(toast.or_(box).first).to_be_visible()
    expect(canvas.page.locator(".zeroconv-text")).to_contain_text("SD1.5")
    assert not (toast.is_visible() and box.is_visible()), "told twice"
