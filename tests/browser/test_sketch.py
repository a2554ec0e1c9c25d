"""The sketch pad in the real front end: strokes by mouse, saved, loaded, undone, copied and run."""

import base64
import json
import statistics

import numpy as np
import pytest
from support.drawings import HOSTILE, scribble
from zeroconv.comfy_client.server import PACK
from zeroconv.preprocessors.sketch.drawing import parse_drawing
from zeroconv.preprocessors.sketch.strokes import render

from .conftest import Canvas
from .pads import PadPage

CURVE = [(0.2, 0.3), (0.3, 0.6), (0.5, 0.7), (0.7, 0.4)]


def picture(text: str) -> np.ndarray:
    """What a run makes of a drawing: (H, W, 3), 0..255."""
    return np.round(render(parse_drawing(text))[0][0].numpy() * 255).astype(int)


def test_mouse_strokes_become_the_saved_image(pad: PadPage, canvas: Canvas) -> None:
    pad.draw(CURVE)
    (stroke,) = pad.strokes()
    assert stroke["points"][:2] == pytest.approx([0.2 * 512, 0.3 * 512], abs=2)
    canvas.save_output_of()
    saved = canvas.saved_picture().astype(int)
    assert (saved == picture(pad.value())).all()
    assert np.abs(saved - pad.pixels()).max() <= 1
    for x, y in CURVE:
        assert saved[round(y * 512), round(x * 512)].tolist() == [255, 255, 255]
    assert 2000 < (saved[..., 0] > 127).sum() < 8000
    assert canvas.errors == []


def test_browser_and_run_agree_in_every_byte(pad: PadPage) -> None:
    for seed in range(12):
        text = scribble(seed, 12)
        layer = pad.page.evaluate(
            """async ([text, pack]) => {
                const { parseDrawing } = await import(`/extensions/${pack}/sketch/drawing.js`)
                const { Raster } = await import(`/extensions/${pack}/sketch/raster.js`)
                const { width, height, strokes } = parseDrawing(text)
                const raster = new Raster(width, height)
                for (const stroke of strokes) raster.draw(stroke)
                return btoa(raster.layer.reduce((text, byte) => text + String.fromCharCode(byte), ''))
            }""",
            [text, PACK],
        )
        image, mask = render(parse_drawing(text))
        rgba = np.frombuffer(base64.b64decode(layer), np.uint8).reshape(128, 160, 4)
        assert (rgba[..., :3] == np.round(image[0].numpy() * 255)).all()
        assert (rgba[..., 3] == np.round(mask[0].numpy() * 255)).all()


def test_saved_workflow_brings_the_strokes_back(pad: PadPage) -> None:
    pad.draw(CURVE)
    pad.draw([(0.8, 0.2), (0.8, 0.8)])
    text, pixels = pad.value(), pad.pixels()
    pad.reload()
    assert pad.value() == text
    assert (pad.pixels() == pixels).all()


def test_undo_and_redo_belong_to_the_pad_while_it_has_the_focus(pad: PadPage) -> None:
    empty = pad.pixels()
    pad.draw(CURVE)
    first = pad.pixels()
    pad.draw([(0.8, 0.2), (0.8, 0.8)])
    second = pad.pixels()
    for keys, expected in [("z", first), ("z", empty), ("y", first), ("Shift+Z", second)]:
        pad.page.keyboard.press(f"Control+{keys}")
        pad.wait()
        assert (pad.pixels() == expected).all()
    assert len(pad.page.evaluate("app.graph.nodes.map((node) => node.id)")) == 1
    pad.press("Clear")
    assert pad.value() == ""
    pad.press("Undo")
    assert (pad.pixels() == second).all()


def test_copied_node_has_a_drawing_of_its_own(pad: PadPage) -> None:
    pad.draw(CURVE)
    text = pad.value()
    pad.copy()
    assert pad.value(1) == text
    pad.draw([(0.8, 0.2), (0.8, 0.8)], 1)
    assert pad.value(0) == text
    assert len(pad.strokes(1)) == 2


def test_tools_and_keys(pad: PadPage) -> None:
    pad.press("Fill")
    pad.draw([(0.5, 0.5)])
    pad.page.keyboard.press("b")
    pad.page.keyboard.press("]")
    pad.page.keyboard.press("m")
    pad.page.keyboard.down("Shift")
    pad.draw([(0.2, 0.2), (0.9, 0.5), (0.3, 0.8)])
    pad.page.keyboard.up("Shift")
    pad.page.keyboard.press("e")
    pad.page.keyboard.press("Enter")
    pad.page.keyboard.press("ArrowRight")
    pad.page.keyboard.press("Enter")
    assert len(pad.strokes()) == 3, pad.value()
    fill, line, eraser = pad.strokes()
    assert fill["tool"] == "fill"
    assert (line["tool"], line["size"], line["mirror"], len(line["points"])) == ("pen", 10, "x", 4)
    assert (eraser["tool"], eraser["points"]) == ("eraser", [256, 256, 264, 256])


def test_class_color_is_chosen_by_name(pad: PadPage) -> None:
    pad.editor().get_by_label("Class color").select_option(label="tree")
    pad.draw(CURVE)
    assert pad.strokes()[0]["color"] == "#04c803"


def test_large_pad_is_the_same_pad(pad: PadPage) -> None:
    pad.press("Large")
    pad.draw(CURVE)
    pad.press("Back to the node")
    assert len(pad.strokes()) == 1
    pad.draw([(0.8, 0.2), (0.8, 0.8)])
    assert len(pad.strokes()) == 2


def test_two_thousand_strokes_stay_fluid(pad: PadPage) -> None:
    """Time that a movement of the pen takes of a frame; the text stays below its limit."""
    pad.set_value(scribble(1, 2000, 512, 512))
    milliseconds = pad.page.evaluate("""() => {
        const stage = document.querySelector('.zeroconv-pad').shadowRoot.querySelector('.stage')
        const box = stage.getBoundingClientRect()
        stage.setPointerCapture = () => {}
        const send = (kind, step) => {
            const place = { clientX: box.left + box.width * (0.3 + step / 500), clientY: box.top + box.height / 2 }
            const begun = performance.now()
            stage.dispatchEvent(new PointerEvent(kind, { ...place, pointerId: 1, button: 0, bubbles: true }))
            return performance.now() - begun
        }
        return [send('pointerdown', 0), ...Array.from({ length: 150 }, (_, step) => send('pointermove', step)),
            send('pointerup', 150)]
    }""")
    assert statistics.median(milliseconds) < 8
    assert len(pad.strokes()) == 2001
    assert len(pad.value()) < 1_000_000


def test_full_drawing_says_so_and_keeps_what_it_has(pad: PadPage) -> None:
    line = {"tool": "pen", "size": 1, "points": [100.5, 100.5] * 41_650}
    text = json.dumps({"version": 1, "strokes": [line] * 2}, separators=(",", ":"))
    assert 999_000 < len(text) < 1_000_000
    pad.set_value(text)
    pad.draw([(x / 100, (x % 2) / 2 + 0.2) for x in range(10, 90)])
    assert "at most 1 MB" in pad.status()
    assert pad.value() == text


def test_hostile_drawings_are_refused_and_run_nothing(pad: PadPage, canvas: Canvas) -> None:
    accepted = pad.page.evaluate(
        """async ([texts, pack]) => {
            const { parseDrawing } = await import(`/extensions/${pack}/sketch/drawing.js`)
            return texts.filter((text) => { try { parseDrawing(text); return true } catch { return false } })
        }""",
        [HOSTILE, PACK],
    )
    assert accepted == []
    for value in ["<img src=x onerror=alert(1)>", 7, {"strokes": "x"}, ["4", 0]]:
        pad.set_value(value)
        assert "cannot be read" in pad.status()
    pad.set_value(HOSTILE[-1])
    pad.draw(CURVE)
    assert pad.value() == HOSTILE[-1]
    pad.press("Clear")
    pad.draw(CURVE)
    assert len(pad.strokes()) == 1
    assert canvas.errors == []
