"""What a person sees of the sketch pads on the canvas, and does with them."""

import base64
import io
import json
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Page

ADD = """([type, x, y]) => {
    const node = LiteGraph.createNode(type)
    node.pos = [x, y]
    app.graph.add(node)
}"""
COPY = """() => {
    app.canvas.selectItems([app.graph.nodes[0]])
    app.canvas.copyToClipboard()
    app.canvas.graph_mouse = [800, 150]
    app.canvas.pasteFromClipboard()
    app.graph.nodes[1].pos = [800, 150]
}"""
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

    def __init__(self, page: Page) -> None:
        self.page = page

    def add(self, x: int, y: int) -> None:
        count = self.page.locator(f".{self.name}").count()
        self.page.evaluate("app.canvas.ds.scale = 1; app.canvas.ds.offset = [0, 0]")
        self.page.evaluate(ADD, [self.node, x, y])
        self.page.locator(f".{self.name} .stage").nth(count).wait_for()
        self.page.wait_for_timeout(500)

    def copy(self) -> None:
        """Copy the only node and paste it beside."""
        self.page.evaluate(COPY)
        self.page.wait_for_timeout(1500)

    def value(self, index: int = 0) -> str:
        return self.page.evaluate("(index) => app.graph.nodes[index].widgets[0].value", index)

    def set_value(self, text: Any, index: int = 0) -> None:
        self.page.evaluate("([index, text]) => { app.graph.nodes[index].widgets[0].value = text }", [index, text])


class PadPage(EditorPage):
    """The sketch pads of a page."""

    node, name = "ZeroConvSketch", "zeroconv-pad"

    def strokes(self, index: int = 0) -> list[dict[str, Any]]:
        return json.loads(self.value(index) or '{"strokes": []}')["strokes"]

    def draw(self, places: list[tuple[float, float]], index: int = 0) -> None:
        """Draw with the mouse through places, given as fractions of the sheet."""
        box = self.page.locator(".zeroconv-pad .sheet").nth(index).bounding_box()
        assert box is not None
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

    def press(self, name: str) -> None:
        self.page.locator(".zeroconv-pad").get_by_role("button", name=name).click()

    def status(self) -> str:
        return self.page.locator(".zeroconv-pad .status").first.inner_text()
