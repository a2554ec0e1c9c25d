"""The button that fetches what a preprocessor lacks: on the node, with size, license, progress, cancel and errors."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Route, expect
from zeroconv.comfy_client.server import ComfyServer
from zeroconv.preprocessors.weights.catalogue import weights_of

from .conftest import Canvas
from .pads import NOWHERE

ROUTE = "**/zeroconv/weights?*"
ADD = """(type) => {
    app.graph.clear()
    const node = LiteGraph.createNode(type)
    node.pos = [300, 200]
    app.graph.add(node)
    app.canvas.ds.scale = 1
    app.canvas.ds.offset = [0, 0]
    app.canvas.setDirty(true, true)
}"""
STATE: dict[str, Any] = {
    "missing": [{"file": "a.pth", "size": "99.0 MB", "license": "MIT"}],
    "megabytes": 99.0,
    "non_commercial": False,
    "package": "",
    "running": False,
    "done": 0,
    "total": 0,
    "error": "",
}


@pytest.fixture
def teed(server: ComfyServer) -> Iterator[Path]:
    """Where the weights of TEED would be; they are not there."""
    file = server.base / "models" / "preprocessors" / weights_of("teed").file
    file.unlink(missing_ok=True)
    yield file
    file.unlink(missing_ok=True)


def test_a_missing_file_has_its_button_and_what_fails_is_told(canvas: Canvas, teed: Path) -> None:
    """The tests' server is told to stay away from the hub."""
    canvas.page.evaluate(ADD, "ZeroConvTeed")
    row = canvas.page.locator(".zeroconv-hint")
    button = row.get_by_role("button", name="Fetch (")
    expect(button).to_be_visible()
    expect(row.get_by_role("button", name="Preview")).to_be_hidden()
    expect(row.locator(".license")).not_to_be_empty()
    canvas.screenshot("fetch-button")
    button.click()
    expect(canvas.page.get_by_role("alert").filter(has_text="HF_HUB_OFFLINE").first).to_be_visible()
    teed.write_bytes(b"put there by hand")
    canvas.page.mouse.move(*NOWHERE)
    button.hover()
    expect(row.get_by_role("button", name="Preview")).to_be_visible()
    expect(button).to_be_hidden()
    assert canvas.errors == []


def test_progress_is_shown_and_can_be_cancelled(canvas: Canvas) -> None:
    posts: list[str] = []

    def answer(route: Route) -> None:
        asked = parse_qs(urlparse(route.request.url).query)
        if route.request.method == "POST":
            posts.extend(asked["action"])
        running = bool(posts) and posts[-1] == "fetch"
        state = {**STATE, "running": running, "done": 42 if running else 0, "total": 100 if running else 0}
        route.fulfill(body=json.dumps(state), content_type="application/json")

    canvas.page.route(ROUTE, answer)
    try:
        canvas.page.evaluate(ADD, "ZeroConvHed")
        button = canvas.page.locator(".zeroconv-hint .fetch")
        expect(button).to_have_text("Fetch (99 MB)")
        button.click()
        expect(button).to_have_text("42 % · Cancel")
        button.click()
        expect(button).to_have_text("Fetch (99 MB)")
        assert posts == ["fetch", "cancel"]
    finally:
        canvas.page.unroute(ROUTE)
    assert canvas.errors == []
