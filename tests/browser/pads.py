"""What a person sees of the sketch pads, pose editors and curves on the canvas, and does with them."""

import base64
import io
import json
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import FloatRect, Locator, Page
from zeroconv.comfy_client.browser import at_rest

ADD = """([type, x, y]) => {
    const node = LiteGraph.createNode(type)
    node.pos = [x, y]
    app.graph.add(node)
}"""
NEW_GRAPH = """() => {
    app.graph.clear()
    const add = (type, x) => {
        const node = LiteGraph.createNode(type)
        node.pos = [x, 150]
        app.graph.add(node)
        return node
    }"""
"""The beginning of a function of the page that builds a graph: `add(type, x)` puts a node into it."""
STYLED = "(stage) => getComputedStyle(stage).overflow !== 'visible'"
"""Whether the style sheets have come, by which the editor gets its size."""

COPY = """() => {
    app.canvas.selectItems([app.graph.nodes[0]])
    app.canvas.copyToClipboard()
    app.canvas.graph_mouse = [800, 150]
    app.canvas.pasteFromClipboard()
    app.graph.nodes[1].pos = [800, 150]
}"""
NODE = "app.graph.nodes.toSorted((one, other) => one.id - other.id)[index]"
"""The order of the nodes themselves changes when one is brought to the front."""

PLACES = """([name, stage]) => [...document.querySelectorAll(`.${name}`)].map(({ shadowRoot }) =>
    [stage, '.sheet', '.handle .dot'].flatMap((each) => [...shadowRoot.querySelectorAll(each)]).map((each) =>
        Object.values(each.getBoundingClientRect().toJSON())))"""
"""Where the parts of all editors of a kind lie in the page."""

VALUE = f"(index) => {NODE}.widgets[0].value"
SET_VALUE = f"([index, text]) => {{ {NODE}.widgets[0].value = text }}"
NOWHERE = (960, 1100)
"""A place in the page without a node."""

LEFT_WRIST = 7
"""Number of a joint."""

PIXELS = """(index) => {
    const pad = document.querySelectorAll('.zeroconv-pad')[index]
    const canvas = pad.shadowRoot.querySelector('canvas')
    return canvas.toDataURL().split(',')[1]
}"""


class EditorPage:
    """The editors of one kind on a page, each by its index."""

    node: str
    name: str
    """Class of the editor's element."""
    stage = ".stage"
    """What is drawn on, as a selector."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def add(self, x: int, y: int) -> None:
        count = self.page.locator(f".{self.name}").count()
        self.page.evaluate("app.canvas.ds.scale = 1; app.canvas.ds.offset = [0, 0]")
        self.page.evaluate(ADD, [self.node, x, y])
        self.wait(count)

    def copy(self) -> None:
        """Copy the only node and paste it beside."""
        self.page.evaluate(COPY)
        self.wait(1)

    def reload(self) -> None:
        """Open what would be saved."""
        self.page.evaluate("app.loadGraphData(JSON.parse(JSON.stringify(app.graph.serialize())))")
        self.wait()

    def wait(self, index: int = 0) -> None:
        """Wait until an editor is there, has its size, and lies still with what is on it."""
        stage = self.editor(index).locator(self.stage)
        stage.wait_for()
        self.page.wait_for_function(STYLED, arg=stage.element_handle())
        at_rest(self.page, PLACES, [self.name, self.stage])

    def value(self, index: int = 0) -> str:
        return self.page.evaluate(VALUE, index)

    def set_value(self, text: Any, index: int = 0) -> None:
        self.page.evaluate(SET_VALUE, [index, text])

    def editor(self, index: int = 0) -> Locator:
        return self.page.locator(f".{self.name}").nth(index)

    def sheet(self, index: int = 0) -> FloatRect:
        """Where what is drawn on lies in the page."""
        box = self.editor(index).locator(".sheet").bounding_box()
        assert box is not None
        return box

    def leave(self) -> None:
        """Move the mouse where nothing is, as a picture opens below a tab that it rests on."""
        self.page.mouse.move(*NOWHERE)

    def press(self, name: str, index: int = 0) -> None:
        """Click a tool by its name."""
        self.editor(index).get_by_role("button", name=name).click()


class PadPage(EditorPage):
    """The sketch pads of a page."""

    node, name = "ZeroConvSketch", "zeroconv-pad"

    def strokes(self, index: int = 0) -> list[dict[str, Any]]:
        return json.loads(self.value(index) or '{"strokes": []}')["strokes"]

    def size(self, index: int = 0) -> tuple[int, int]:
        """Width and height of the drawing."""
        drawing = json.loads(self.value(index))
        return drawing["width"], drawing["height"]

    def draw(self, places: list[tuple[float, float]], index: int = 0) -> None:
        """Draw with the mouse through places, given as fractions of the sheet."""
        box = self.sheet(index)
        for number, (x, y) in enumerate(places):
            self.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
            if number == 0:
                self.page.mouse.down()
        self.page.mouse.up()

    def pixels(self, index: int = 0) -> np.ndarray:
        """The strokes as the browser shows them, laid on black: (H, W, 3)."""
        png = base64.b64decode(self.page.evaluate(PIXELS, index))
        rgba = np.array(Image.open(io.BytesIO(png)).convert("RGBA"))
        return np.round(rgba[..., :3] * (rgba[..., 3:] / 255)).astype(int)

    def set_brush_size(self, pixels: int) -> None:
        slider = self.page.locator(".zeroconv-pad").get_by_role("slider", name="Brush size").first
        slider.evaluate(
            "(slider, size) => { slider.value = Math.sqrt(size) * 10; slider.dispatchEvent(new Event('input')) }",
            pixels,
        )

    def status(self) -> str:
        return self.page.locator(".zeroconv-pad .status").first.inner_text()


class PosePage(EditorPage):
    """The pose editors of a page."""

    node, name = "ZeroConvPose", "zeroconv-pose"

    def add_person(self, preset: str, index: int = 0) -> None:
        self.editor(index).locator(".presets summary").click()
        self.editor(index).locator(f"[data-preset={preset}]").click()

    def joint(self, place: int, index: int = 0, person: int = 0) -> Locator:
        name = f'.joint[data-person="{person}"][data-part="body"][data-place="{place}"]'
        return self.editor(index).locator(name)

    def people(self, index: int = 0) -> list[dict[str, list[float]]]:
        return json.loads(self.value(index))["people"]

    def place_of(self, place: int, index: int = 0) -> list[float]:
        """x, y and score of a joint of the first person, in pixels of the canvas."""
        return self.people(index)[0]["pose_keypoints_2d"][3 * place : 3 * place + 3]

    def seen_at(self, place: int, index: int = 0) -> tuple[float, float]:
        """Where a joint of the first person is in the page."""
        box = self.joint(place, index).locator(".dot").bounding_box()
        assert box
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def drag(self, place: int, dx: float, dy: float, index: int = 0) -> None:
        """Drag a joint by fractions of the canvas."""
        (x, y), sheet = self.seen_at(place, index), self.sheet(index)
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + dx * sheet["width"], y + dy * sheet["height"], steps=5)
        self.page.mouse.up()


class CurvePage(EditorPage):
    """The curves of schedule nodes on a page."""

    node, name, stage = "ZeroConvSchedule", "zeroconv-curve", ".picture"
