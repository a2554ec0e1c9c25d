"""The sketch pad by touch and pen, zoomed, over a traced picture, resized, and out of a saved picture."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from support.drawings import scribble

from .conftest import Canvas
from .devices import GRAPH_VIEW, Devices, moved
from .pads import PadPage

CURVE = [(0.2, 0.3), (0.3, 0.6), (0.5, 0.7), (0.7, 0.4)]
LINE = [(0.25, 0.5), (0.5, 0.5), (0.75, 0.5)]
POINTER = """([kind, details]) => {
    const stage = document.querySelector('.zeroconv-pad').shadowRoot.querySelector('.stage')
    stage.setPointerCapture = () => {}
    stage.dispatchEvent(new PointerEvent(kind, { bubbles: true, composed: true, ...details }))
}"""
FRAMES = """(count) => new Promise((done) => {
    const times = []
    const tick = (now) => {
        times.push(now)
        if (times.length > count) done(times.slice(1).map((time, index) => time - times[index]))
        else requestAnimationFrame(tick)
    }
    requestAnimationFrame(tick)
})"""


def send(pad: PadPage, kind: str, place: tuple[float, float], **details: Any) -> None:
    """A pointer event of any device at a place given as fractions of the sheet."""
    box = pad.sheet()
    x, y = box["x"] + place[0] * box["width"], box["y"] + place[1] * box["height"]
    pad.page.evaluate(POINTER, [kind, {"clientX": x, "clientY": y, "pointerId": 2, "button": 0, **details}])


def test_pen_pressure_makes_thick_and_thin(pad: PadPage) -> None:
    pad.set_brush_size(40)
    for number, (place, pressure) in enumerate(zip(LINE, (0.1, 0.5, 1.0), strict=True)):
        kind = "pointermove" if number else "pointerdown"
        send(pad, kind, place, pointerType="pen", pressure=pressure)
    send(pad, "pointerup", LINE[-1], pointerType="pen")
    (stroke,) = pad.strokes()
    assert stroke["pressure"] == pytest.approx([0.1, 1.0], abs=0.07) or len(stroke["pressure"]) == 3
    drawn = pad.pixels()[..., 0] > 127
    thin, thick = drawn[:, 140].sum(), drawn[:, 370].sum()
    assert 2 <= thin <= 12
    assert 34 <= thick <= 42


def test_one_finger_draws_and_two_zoom(pad: PadPage) -> None:
    for number, place in enumerate(LINE):
        send(pad, "pointermove" if number else "pointerdown", place, pointerType="touch", pressure=0)
    send(pad, "pointerup", LINE[-1], pointerType="touch")
    (stroke,) = pad.strokes()
    assert stroke["points"] == pytest.approx([128, 256, 384, 256], abs=1)
    assert "pressure" not in stroke
    before = pad.sheet()["width"]
    send(pad, "pointerdown", (0.4, 0.5), pointerType="touch")
    send(pad, "pointerdown", (0.6, 0.5), pointerType="touch", pointerId=3)
    send(pad, "pointermove", (0.8, 0.5), pointerType="touch", pointerId=3)
    send(pad, "pointerup", (0.5, 0.5), pointerType="touch")
    send(pad, "pointerup", (0.5, 0.5), pointerType="touch", pointerId=3)
    assert pad.sheet()["width"] == pytest.approx(2 * before, rel=0.05)
    assert len(pad.strokes()) == 1


def test_fingers_of_a_touch_screen_draw_and_zoom_and_leave_the_graph_alone(pad: PadPage, devices: Devices) -> None:
    graph, box = pad.page.evaluate(GRAPH_VIEW), pad.sheet()
    start = (box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.5)
    devices.touch("touchStart", start)
    for step in range(1, 5):
        devices.touch("touchMove", moved(start, step * box["width"] / 8, 0))
    devices.touch("touchEnd")
    (stroke,) = pad.strokes()
    assert stroke["points"] == pytest.approx([128, 256, 384, 256], abs=2)
    devices.touch("touchStart", start)
    devices.touch("touchStart", start, moved(start, 80, 0))
    for step in range(1, 5):
        devices.touch("touchMove", start, moved(start, 80 + 20 * step, 0))
    devices.touch("touchEnd")
    assert pad.page.evaluate(GRAPH_VIEW) == graph
    assert pad.sheet()["width"] == pytest.approx(2 * box["width"], rel=0.05)
    assert pad.strokes() == [stroke]


def test_the_hand_of_a_pen_draws_nothing(pad: PadPage, devices: Devices) -> None:
    box = pad.sheet()
    tip = (box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.25)
    hand = moved(tip, 60, 90)
    devices.touch("touchStart", hand)
    devices.touch("touchMove", moved(hand, 4, 4))
    devices.pen("mousePressed", tip)
    devices.touch("touchMove", moved(hand, 9, 9))
    devices.pen("mouseMoved", moved(tip, box["width"] / 4, 0))
    devices.touch("touchEnd")
    devices.pen("mouseMoved", moved(tip, box["width"] / 2, 0))
    devices.pen("mouseReleased", moved(tip, box["width"] / 2, 0))
    (stroke,) = pad.strokes()
    assert stroke["points"] == pytest.approx([128, 128, 384, 128], abs=2)


def test_strokes_on_a_zoomed_pad_land_where_the_pen_is(pad: PadPage) -> None:
    pad.draw(CURVE)
    box = pad.sheet()
    pad.page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.6)
    for _ in range(3):
        pad.page.mouse.wheel(0, -200)
    pad.wait()
    assert pad.sheet()["width"] > 1.2 * box["width"]
    pad.draw([(0.55, 0.6), (0.65, 0.6)])
    pad.page.keyboard.press("0")
    pad.wait()
    assert pad.sheet()["width"] == pytest.approx(box["width"], abs=1)
    assert pad.strokes()[1]["points"] == pytest.approx([0.55 * 512, 0.6 * 512, 0.65 * 512, 0.6 * 512], abs=2)


def test_traced_picture_is_seen_and_never_part_of_the_drawing(pad: PadPage, tmp_path: Path) -> None:
    Image.new("RGB", (60, 40), "#c04020").save(tmp_path / "trace.png")
    with pad.page.expect_file_chooser() as chooser:
        pad.press("Trace an image of yours")
    chooser.value.set_files(tmp_path / "trace.png")
    traced = pad.page.locator(".zeroconv-pad .traced")
    traced.wait_for()
    opacity = pad.page.locator(".zeroconv-pad").get_by_role("slider", name="Opacity of the traced image")
    opacity.evaluate("(slider) => { slider.value = 20; slider.dispatchEvent(new Event('input')) }")
    assert traced.evaluate("(image) => image.style.opacity") == "0.2"
    pad.draw(LINE)
    assert pad.pixels()[..., 1].max() == 255
    assert (pad.pixels()[:100] == 0).all()
    pad.press("Take the traced image away")
    assert traced.is_hidden()
    assert "trace" not in pad.value()


def test_resized_node_shows_the_whole_drawing_and_keeps_it(pad: PadPage) -> None:
    pad.draw(CURVE)
    text, small = pad.value(), pad.sheet()["width"]
    if pad.page.evaluate("LiteGraph.vueNodesMode"):
        drag_corner(pad, 400, 400)
    else:
        pad.page.evaluate("app.graph.nodes[0].setSize([900, 1000]); app.graph.setDirtyCanvas(true, true)")
    pad.wait()
    stage = pad.page.locator(".zeroconv-pad .stage").first.bounding_box()
    assert stage is not None
    large = pad.sheet()
    assert large["width"] > 1.3 * small
    assert large["width"] <= stage["width"] + 1
    assert large["height"] <= stage["height"] + 1
    pad.draw([(0.9, 0.1), (0.9, 0.2)])
    assert pad.strokes()[1]["points"][:2] == pytest.approx([0.9 * 512, 0.1 * 512], abs=2)
    assert pad.value().startswith(text[:-2])


def drag_corner(pad: PadPage, dx: float, dy: float) -> None:
    """Resize the node as a person does; Nodes 2.0 takes a size from its own handles only."""
    box = pad.page.locator("[data-node-id]").first.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] - 3, box["y"] + box["height"] - 3
    pad.page.mouse.move(x, y)
    pad.page.mouse.down()
    pad.page.mouse.move(x + dx, y + dy, steps=6)
    pad.page.mouse.up()


def test_new_canvas_size_keeps_the_strokes_in_place(pad: PadPage) -> None:
    pad.draw(CURVE)
    (stroke,) = pad.strokes()
    field = pad.page.locator(".zeroconv-pad").get_by_role("spinbutton", name="Width")
    field.fill("768")
    field.press("Enter")
    assert json.loads(pad.value())["width"] == 768
    assert pad.strokes() == [stroke]
    assert pad.pixels().shape == (512, 768, 3)


def test_saved_picture_brings_strokes_and_pixels_back(pad: PadPage, canvas: Canvas, tmp_path: Path) -> None:
    """A PNG that carries the workflow, dropped on the canvas."""
    pad.draw(CURVE)
    text, pixels = pad.value(), pad.pixels()
    picture = Image.fromarray(pixels.astype("uint8"))
    info = PngInfo()
    info.add_text("workflow", json.dumps(pad.page.evaluate("app.graph.serialize()")))
    picture.save(tmp_path / "saved.png", pnginfo=info)
    pad.page.evaluate("app.graph.clear()")
    pad.page.evaluate(
        """(data) => app.handleFile(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], 'saved.png',
            {type: 'image/png'}))""",
        base64.b64encode((tmp_path / "saved.png").read_bytes()).decode(),
    )
    pad.page.wait_for_function("() => app.graph.nodes.length === 1")
    pad.wait()
    assert pad.value() == text
    assert (pad.pixels() == pixels).all()
    assert canvas.errors == []


def test_frames_stay_short_while_a_pad_of_two_thousand_strokes_is_drawn_on(pad: PadPage) -> None:
    """Compared with the frames of an empty pad, as the machine may be busy with other things."""

    def longest_of_most(text: str) -> float:
        pad.set_value(text)
        pad.page.evaluate(f"() => {{ window.frames_ = ({FRAMES})(45) }}")
        pad.draw([(0.2 + step / 50, 0.3 + (step % 7) / 30) for step in range(20)])
        return sorted(pad.page.evaluate("() => window.frames_"))[40]

    empty, full = longest_of_most(""), longest_of_most(scribble(1, 2000, 512, 512))
    assert full < 2 * empty + 34
