"""The scribble workflow as the demo serves it: from a stroke of the mouse to a picture that follows it."""

import math
from pathlib import Path

import pytest
import torch
from playwright.sync_api import expect
from zeroconv.comfy_client.server import ComfyServer
from zeroconv.demo.checkpoint import CHECKPOINT_NAME, write_models
from zeroconv.demo.scenes.measures import agreement, color_name, floor_names, object_mask
from zeroconv.demo.templates import SCRIBBLE, write_copies

from .conftest import Canvas
from .pads import PadPage

CENTRE, RADIUS = (0.3, 0.62), 0.2
"""The circle that is drawn, as fractions of the pad: off the middle, where the model would put a ball by itself."""


@pytest.fixture(scope="module", autouse=True)
def model(server: ComfyServer) -> None:
    """The small model that ships."""
    if not (server.base / "models" / "checkpoints" / CHECKPOINT_NAME).exists():
        write_models(server.base / "models")


def test_from_stroke_to_picture(
    canvas: Canvas, server: ComfyServer, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    write_copies(tmp_path)
    canvas.open(tmp_path / f"{SCRIBBLE}.json")
    assert canvas.unknown_nodes() == []
    assert canvas.dialogs() == []
    pad = PadPage(canvas.page)
    canvas.page.evaluate("app.canvas.ds.scale = 1; app.canvas.ds.offset = [-350, 100]; app.canvas.setDirty(true, true)")
    pad.wait()
    pad.press("Clear")
    turns = [2 * math.pi * step / 24 for step in range(25)]
    pad.set_brush_size(12)
    pad.draw([(CENTRE[0] + RADIUS * math.cos(turn), CENTRE[1] + RADIUS * math.sin(turn)) for turn in turns])
    canvas.page.evaluate("app.graph.getNodeById(2).widgets[0].value = 'a red ball on a white floor'")
    canvas.set_widget("KSampler", "steps", 8)
    saved = canvas.saved_picture(timeout=180_000)
    canvas.screenshot(f"{request.node.callspec.id}-scribble-done")
    picture = torch.from_numpy(saved).permute(2, 0, 1)[None].float() / 255
    seen = object_mask(picture)
    assert agreement(seen, disc(*CENTRE)).item() >= 0.75
    assert agreement(seen, disc(1 - CENTRE[0], CENTRE[1])).item() <= 0.2
    assert floor_names(picture) == ["white"]
    assert color_name(picture[0], seen[0]) == "red"
    draw_live(canvas, pad, server)
    assert canvas.errors == []


def draw_live(canvas: Canvas, pad: PadPage, server: ComfyServer) -> None:
    """Each stroke runs the graph once, and cancels the run of the stroke before that has not ended."""
    live = pad.editor().get_by_role("button", name="Live")
    live.click()
    expect(live).not_to_have_class("running", timeout=60_000)
    before = server.get("/history").keys()
    canvas.set_widget("KSampler", "steps", 12)
    pad.draw([(0.7, 0.2), (0.8, 0.3)])
    expect(live).to_have_class("running", timeout=60_000)
    pad.draw([(0.7, 0.3), (0.8, 0.2)])
    pad.leave()
    expect(live).not_to_have_class("running", timeout=120_000)
    runs = [run for name, run in server.get("/history").items() if name not in before]
    ends = [run["status"]["messages"][-1][0] for run in runs]
    assert ends == ["execution_interrupted", "execution_success"]
    live.click()
    pad.draw([(0.2, 0.1), (0.3, 0.1)])
    canvas.page.wait_for_timeout(600)
    assert len(server.get("/history")) == len(before) + 2


def disc(x: float, y: float, side: int = 128) -> torch.Tensor:
    """The inside of the circle at a place of the pad: (1, S, S) bool."""
    middle = (torch.arange(side) + 0.5) / side
    return ((middle[None] - x) ** 2 + (middle[:, None] - y) ** 2 <= RADIUS**2)[None]
