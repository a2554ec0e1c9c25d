"""The row of a preprocessor node: it runs alone, live too, and its hint is compared with its input."""

import pytest
from playwright.sync_api import expect
from zeroconv.comfy_client.server import ComfyServer
from zeroconv.demo.photo import photo

from .conftest import Canvas
from .pads import NEW_GRAPH, NOWHERE

ADD = (
    NEW_GRAPH
    + """
    const [load, canny, save] = [add('LoadImage', 150), add('ZeroConvCanny', 700), add('SaveImage', 1200)]
    load.widgets[0].value = 'example.png'
    load.connect(0, canny, 0)
    canny.connect(0, save, 0)
    app.canvas.ds.scale = 1
    app.canvas.ds.offset = [0, 0]
    app.canvas.setDirty(true, true)
}"""
)
HINT = "() => app.nodeOutputs?.[app.graph.nodes.find((n) => n.type === 'ZeroConvCanny').id]?.images?.[0]?.filename"


@pytest.fixture(autouse=True)
def picture(server: ComfyServer) -> None:
    photo().resize((96, 64)).save(server.base / "input" / "example.png")


def test_preview_runs_only_its_branch_and_compares(canvas: Canvas, server: ComfyServer) -> None:
    page = canvas.page
    page.evaluate(ADD)
    before = set((server.base / "output").iterdir())
    row = page.locator(".zeroconv-hint")
    assert row.get_by_role("button", name="Compare").is_disabled()
    row.get_by_role("button", name="Preview").click()
    page.wait_for_function(HINT, timeout=60_000)
    first = page.evaluate(HINT)
    assert canvas.images("ZeroConvCanny") == [[96, 64]]
    assert set((server.base / "output").iterdir()) == before

    row.get_by_role("button", name="Compare").click()
    slider = page.locator(".zeroconv-comparison").get_by_role("slider")
    slider.press("End")
    after = page.locator(".zeroconv-comparison .after")
    assert after.evaluate("(image) => image.naturalWidth") == 96
    expect(after).to_have_css("clip-path", "inset(0px 0% 0px 0px)")
    slider.press("Home")
    expect(after).to_have_css("clip-path", "inset(0px 100% 0px 0px)")
    page.keyboard.press("Escape")
    expect(page.locator(".zeroconv-comparison")).to_have_count(0)

    row.get_by_role("button", name="Live").click()
    expect(row.locator(".running")).to_have_count(0)
    canvas.set_widget("ZeroConvCanny", "high_threshold", 90)
    page.wait_for_function(f"(first) => ({HINT})() !== first", arg=first, timeout=60_000)
    assert set((server.base / "output").iterdir()) == before
    assert canvas.errors == []


def test_live_follows_what_the_node_gets(canvas: Canvas, server: ComfyServer) -> None:
    """Another photo makes another hint; what does not lead to the node makes none."""
    page = canvas.page
    photo().resize((64, 96)).save(server.base / "input" / "other.png")
    page.evaluate(ADD)
    row = page.locator(".zeroconv-hint")
    row.get_by_role("button", name="Live").click()
    page.wait_for_function(HINT, timeout=60_000)
    expect(row.locator(".running")).to_have_count(0)
    runs = len(server.get("/history"))
    canvas.set_widget("SaveImage", "filename_prefix", "elsewhere")
    canvas.set_widget("LoadImage", "image", "other.png")
    page.mouse.click(*NOWHERE)  # as any click of a person, it lets the front end look for changes
    page.wait_for_function(
        "async (runs) => Object.keys(await (await fetch('/history')).json()).length > runs", arg=runs, timeout=60_000
    )
    expect(row.locator(".running")).to_have_count(0)
    page.mouse.click(*NOWHERE)
    page.wait_for_timeout(600)
    assert canvas.images("ZeroConvCanny") == [[64, 96]]
    assert len(server.get("/history")) == runs + 1
    assert row.get_by_role("button", name="Live").get_attribute("aria-pressed") == "true"
