"""Chromium with ComfyUI's front end, as a new user has it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Error, Page, ViewportSize, expect
from zeroconv.comfy_client.browser import SETTINGS, VIEW, at_rest, chromium, executable, open_canvas
from zeroconv.comfy_client.server import REPOSITORY, ComfyServer

from .devices import Devices
from .pads import NOWHERE, CurvePage, PadPage, PosePage

SCREENSHOTS = REPOSITORY / ".cache" / "screenshots"
SIZE: ViewportSize = {"width": 1920, "height": 1200}
SAVE = """(index) => {
    const save = LiteGraph.createNode('SaveImage')
    save.pos = [1500, 150]
    const from = app.graph.nodes.toSorted((one, other) => one.id - other.id)[index]
    app.graph.add(save)
    from.connect(0, save, 0)
}"""
SAVED = "app.nodeOutputs[app.graph.nodes.find(({ type }) => type === 'SaveImage').id]"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium with a fresh profile; it ends with the file, as its event loop would stand in other tests' way."""
    if executable() is None:
        pytest.fail("Chromium is missing: run `make test`, or install it.")
    with chromium() as running:
        yield running


@dataclass
class Canvas:
    """The front end in a page: what a person sees and does there."""

    page: Page
    server: ComfyServer
    errors: list[str]

    def open(self, workflow: Path) -> None:
        """Open a workflow file as if it were dropped on the canvas."""
        self.page.evaluate(
            "([name, text]) => app.handleFile(new File([text], name, {type: 'application/json'}))",
            [workflow.name, workflow.read_text(encoding="utf-8")],
        )
        count = len(json.loads(workflow.read_text(encoding="utf-8"))["nodes"])
        self.page.wait_for_function("(count) => app.graph.nodes.length === count", arg=count)
        at_rest(self.page, VIEW)

    def set_widget(self, node_type: str, name: str, value: Any) -> None:
        """Enter a value into a widget of the only node of a type."""
        self.page.evaluate(
            """([type, name, value]) => {
                const [node] = app.graph.nodes.filter((n) => n.type === type)
                const widget = node.widgets.find((w) => w.name === name)
                widget.value = value
                widget.callback?.(value)
            }""",
            [node_type, name, value],
        )

    def unknown_nodes(self) -> list[str]:
        """Types on the canvas that the front end does not know."""
        return self.page.evaluate(
            "app.graph.nodes.map((n) => n.type).filter((t) => !LiteGraph.registered_node_types[t])"
        )

    def dialogs(self) -> list[str]:
        """Texts of the dialogs that stand open."""
        return self.page.locator("[role=dialog]:visible").all_inner_texts()

    def images(self, node_type: str) -> list[list[int]]:
        """Width and height of every picture that the nodes of a type have received and can show."""
        return self.page.evaluate(
            """async (type) => {
                const ids = app.graph.nodes.filter((n) => n.type === type).map((n) => String(n.id))
                const files = ids.flatMap((id) => app.nodeOutputs?.[id]?.images ?? [])
                return Promise.all(files.map((file) => new Promise((done) => {
                    const image = new Image()
                    image.onload = () => done([image.naturalWidth, image.naturalHeight])
                    image.onerror = () => done([0, 0])
                    image.src = '/api/view?' + new URLSearchParams(file)
                })))
            }""",
            node_type,
        )

    def queue(self) -> None:
        """Run the workflow by its keyboard shortcut."""
        self.page.keyboard.press("Control+Enter")

    def save_output_of(self, index: int = 0) -> None:
        """Wire the first output of a node, counted in the order in which they were made, to a new one that saves it."""
        self.page.evaluate(SAVE, index)

    def saved_picture(self, timeout: float = 120_000) -> np.ndarray:
        """Run the workflow; what its only node that saves has saved: (H, W, 3), 0..255."""
        self.page.evaluate(f"() => {{ delete {SAVED} }}")
        self.queue()
        self.page.wait_for_function(f"() => {SAVED}?.images?.length", timeout=timeout)
        (file,) = self.page.evaluate(f"{SAVED}.images")
        with Image.open(self.server.base / "output" / file["subfolder"] / file["filename"]) as saved:
            return np.array(saved.convert("RGB"))

    def screenshot(self, name: str) -> None:
        """Keep what is seen, the whole graph in view."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.evaluate("app.extensionManager.command.execute('Comfy.Canvas.FitView')")
        at_rest(self.page, VIEW)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")


@pytest.fixture(scope="module", params=[False, True], ids=["classic", "nodes-2"])
def window(request: pytest.FixtureRequest, server: ComfyServer, browser: Browser) -> Iterator[Page]:
    """The front end in each of the two renderers; it takes seconds to open, so the tests of a file share it."""
    server.post("/api/settings", {**SETTINGS, "Comfy.VueNodes.Enabled": request.param})
    context = browser.new_context(viewport=SIZE)
    page = context.new_page()
    open_canvas(page, server)
    yield page
    context.close()


@pytest.fixture
def canvas(server: ComfyServer, window: Page) -> Iterator[Canvas]:
    """A new workflow, nothing of what was before in sight."""
    # A node whose result is cached sends no preview again.
    server.post("/free", {"free_memory": True})
    window.mouse.move(*NOWHERE)  # a picture opens below a tab that it rests on
    for _ in range(3):  # dialogs and menus that a test has left open
        window.keyboard.press("Escape")
    window.evaluate("app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
    window.wait_for_function("() => app.graph.nodes.length === 0")
    opened = Canvas(window, server, [])
    expect(window.locator("[role=dialog]:visible")).to_have_count(0)  # they take a moment to close
    assert window.evaluate("Object.keys(app.nodeOutputs)") == [], "pictures of another test would count for this one"

    def note(error: Error) -> None:
        opened.errors.append(str(error))

    window.on("pageerror", note)
    yield opened
    window.remove_listener("pageerror", note)


@pytest.fixture
def pad(canvas: Canvas) -> PadPage:
    """A graph with nothing but a sketch node."""
    canvas.page.wait_for_function("() => Boolean(LiteGraph.registered_node_types.ZeroConvSketch)")
    canvas.page.evaluate("app.graph.clear()")
    opened = PadPage(canvas.page)
    opened.add(150, 150)
    return opened


@pytest.fixture
def poses(canvas: Canvas) -> PosePage:
    """A graph with nothing but a pose node, one person on it."""
    canvas.page.wait_for_function("() => Boolean(LiteGraph.registered_node_types.ZeroConvPose)")
    canvas.page.evaluate("app.graph.clear()")
    opened = PosePage(canvas.page)
    opened.add(150, 150)
    opened.add_person("standing")
    return opened


@pytest.fixture
def curve(canvas: Canvas) -> CurvePage:
    """A graph with nothing but a schedule node."""
    canvas.page.wait_for_function("() => Boolean(LiteGraph.registered_node_types.ZeroConvSchedule)")
    canvas.page.evaluate("app.graph.clear()")
    opened = CurvePage(canvas.page)
    opened.add(150, 150)
    return opened


@pytest.fixture
def devices(canvas: Canvas) -> Devices:
    """A touch screen and a pen for the page."""
    return Devices(canvas.page.context.new_cdp_session(canvas.page))
