"""The help of a node, as its button in the front end opens it, with its picture."""

import pytest
from zeroconv.comfy_client.browser import VIEW, at_rest

from .conftest import Canvas

ADD = """(type) => {
    app.graph.clear()
    const node = LiteGraph.createNode(type)
    node.pos = [600, 350]
    app.graph.add(node)
    app.canvas.ds.scale = 1
    app.canvas.ds.offset = [0, 0]
    app.canvas.setDirty(true, true)
}"""
SELECT = "() => { app.canvas.selectItems([app.graph.nodes[0]]); app.canvas.setDirty(true, true) }"
LOADED = """() => {
    const pictures = [...document.querySelectorAll('.node-help-content img')]
    return pictures.length > 0 && pictures.every(({ naturalWidth }) => naturalWidth > 100)
}"""


@pytest.mark.parametrize("node", ["ZeroConvCanny", "ZeroConvApply", "ZeroConvSketch"])
def test_help_panel_shows_the_page_with_its_picture(canvas: Canvas, node: str) -> None:
    canvas.page.evaluate(ADD, node)
    at_rest(canvas.page, VIEW)
    canvas.page.evaluate(SELECT)
    canvas.page.get_by_test_id("info-button").click()
    canvas.page.wait_for_function(LOADED)
    shown = canvas.page.locator(".node-help-content")
    assert shown.get_by_role("heading", level=1).inner_text()
    assert "Inputs" in shown.inner_text()
    assert canvas.errors == []
