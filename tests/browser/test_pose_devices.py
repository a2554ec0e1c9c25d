"""The pose editor by finger, pen, wheel and keyboard, large, over a wired picture, and with wired poses."""

from typing import Literal

import pytest
from PIL import Image
from zeroconv.comfy_client.server import ComfyServer

from .conftest import Canvas
from .devices import GRAPH_VIEW, Devices, moved
from .pads import LEFT_WRIST, PosePage

NOSE, LEFT_ANKLE = 0, 13
FOCUSED = "document.querySelector('.zeroconv-pose').shadowRoot.activeElement"
UNNAMED = """() => {
    const root = document.querySelector('.zeroconv-pose').shadowRoot
    const parts = [...root.querySelectorAll('button, input, select, [tabindex], [role=group], [role=toolbar]')]
    return parts.filter((part) => !part.ariaLabel?.trim()).map((part) => part.outerHTML)
}"""
WIRE = """([from, slot, to, input]) => {
    const [source, target] = [app.graph.nodes[from], app.graph.nodes[to]]
    source.connect(slot, target, target.findInputSlot(input))
}"""
LOADED = """() => {
    const { naturalWidth } = document.querySelector('.zeroconv-pose').shadowRoot.querySelector('.traced')
    return naturalWidth > 0
}"""
LOAD = """(name) => {
    const load = LiteGraph.createNode('LoadImage')
    load.pos = [800, 150]
    app.graph.add(load)
    load.widgets[0].value = name
    load.widgets[0].callback?.(name)
}"""

BUTTONS: list[tuple[Literal["middle", "left"], str]] = [("left", " "), ("middle", "")]
"""What moves the view: a button of the mouse, and the key that is held."""


def test_a_finger_takes_the_nearest_joint(poses: PosePage, devices: Devices) -> None:
    graph, text = poses.page.evaluate(GRAPH_VIEW), poses.value()
    scale = 512 / poses.sheet()["width"]
    before, finger = poses.place_of(LEFT_WRIST), moved(poses.seen_at(LEFT_WRIST), 11, -9)
    devices.touch("touchStart", finger)
    devices.touch("touchMove", moved(finger, 2, 1))
    devices.touch("touchEnd")
    assert poses.value() == text, "a finger that slips a little chooses the joint, and does not move it"
    assert poses.page.evaluate(f"{FOCUSED}.dataset.place") == str(LEFT_WRIST)
    devices.touch("touchStart", finger)
    for step in range(1, 6):
        devices.touch("touchMove", moved(finger, 16 * step, -20 * step))
    devices.touch("touchEnd")
    assert poses.place_of(LEFT_WRIST) == pytest.approx([before[0] + 80 * scale, before[1] - 100 * scale, 1], abs=2)
    assert poses.page.evaluate(GRAPH_VIEW) == graph


def test_two_fingers_zoom_the_editor_and_neither_pose_nor_graph(poses: PosePage, devices: Devices) -> None:
    graph, text, width = poses.page.evaluate(GRAPH_VIEW), poses.value(), poses.sheet()["width"]
    first = poses.seen_at(LEFT_WRIST)
    second = moved(first, 60, 0)
    devices.touch("touchStart", first)
    devices.touch("touchStart", first, second)
    for step in range(1, 7):
        devices.touch("touchMove", first, moved(second, 20 * step, 0))
    devices.touch("touchEnd")
    assert poses.page.evaluate(GRAPH_VIEW) == graph
    assert poses.sheet()["width"] == pytest.approx(3 * width, rel=0.05)
    assert poses.value() == text
    left = poses.sheet()["x"]
    background = moved(poses.seen_at(LEFT_WRIST), 70, 0)
    devices.touch("touchStart", background)
    devices.touch("touchMove", moved(background, -30, 0))
    devices.touch("touchEnd")
    assert poses.sheet()["x"] == pytest.approx(left - 30, abs=1), "one finger moves the view"
    assert poses.value() == text


def test_pen_drags_while_the_hand_rests_on_the_screen(poses: PosePage, devices: Devices) -> None:
    scale = 512 / poses.sheet()["width"]
    before, tip = poses.place_of(LEFT_WRIST), poses.seen_at(LEFT_WRIST)
    width, hand = poses.sheet()["width"], moved(tip, 40, 60)
    devices.pen("mousePressed", tip)
    devices.pen("mouseMoved", moved(tip, 10, 10))
    devices.touch("touchStart", hand)
    devices.touch("touchMove", moved(hand, 25, 25))
    devices.pen("mouseMoved", moved(tip, 50, -70))
    devices.touch("touchEnd")
    devices.pen("mouseReleased", moved(tip, 50, -70))
    assert poses.place_of(LEFT_WRIST) == pytest.approx([before[0] + 50 * scale, before[1] - 70 * scale, 1], abs=2)
    assert poses.sheet()["width"] == width


def test_wheel_zooms_and_the_view_moves(poses: PosePage) -> None:
    mouse, keyboard = poses.page.mouse, poses.page.keyboard
    whole, text = poses.sheet(), poses.value()
    graph, wrist = poses.page.evaluate(GRAPH_VIEW), poses.seen_at(LEFT_WRIST)
    poses.joint(LEFT_WRIST).focus()
    mouse.move(*wrist)
    for _ in range(4):
        mouse.wheel(0, -150)
    poses.wait()
    assert poses.page.evaluate(GRAPH_VIEW) == pytest.approx(graph)
    zoom = poses.sheet()["width"] / whole["width"]
    assert zoom > 2
    # The wheel names its place in whole pixels: a part of one is magnified.
    assert poses.seen_at(LEFT_WRIST) == pytest.approx(wrist, abs=zoom), "it zooms where the pointer is"

    # In Nodes 2.0 newer hosts keep the middle button for the graph, which then moves with the editor on it.
    for button, key in BUTTONS:
        left = poses.sheet()["x"]
        if key:
            keyboard.down(key)
        mouse.move(*moved(wrist, 0, 30))
        mouse.down(button=button)
        mouse.move(*moved(wrist, -45, 30), steps=3)
        mouse.up(button=button)
        if key:
            keyboard.up(key)
        assert poses.sheet()["x"] == pytest.approx(left - 45, abs=2)
        if key:
            assert poses.page.evaluate(GRAPH_VIEW) == pytest.approx(graph)
    assert poses.value() == text
    shift = poses.page.evaluate(GRAPH_VIEW)[1] - graph[1]
    assert shift in (0, pytest.approx(-45))

    scale = 512 / poses.sheet()["width"]
    before, start = poses.place_of(LEFT_WRIST), poses.seen_at(LEFT_WRIST)
    mouse.move(*start)
    mouse.down()
    mouse.move(*moved(start, 24, 16), steps=3)
    mouse.up()
    assert poses.place_of(LEFT_WRIST)[:2] == pytest.approx([before[0] + 24 * scale, before[1] + 16 * scale], abs=1)
    keyboard.press("0")
    assert poses.sheet() == pytest.approx({**whole, "x": whole["x"] + shift}, abs=1)

    poses.page.evaluate("document.activeElement?.blur()")
    mouse.wheel(0, -100)
    poses.page.wait_for_function(f"(graph) => ({GRAPH_VIEW})()[0] !== graph[0]", arg=graph)


def test_keyboard_reaches_everything_and_says_what_it_is(poses: PosePage) -> None:
    poses.add_person("walking")
    poses.editor().get_by_role("button", name="Large").focus()
    poses.page.keyboard.press("Tab")
    assert poses.page.evaluate(f"{FOCUSED}.className") == "stage"
    poses.page.keyboard.press("Tab")
    assert poses.page.evaluate(f"{FOCUSED}.ariaLabel") == "Person 1: nose"
    for _ in range(3):
        poses.page.keyboard.press("PageUp")
    assert poses.sheet()["width"] > 700
    for _ in range(LEFT_ANKLE):
        poses.page.keyboard.press("Tab")
    assert poses.page.evaluate(f"{FOCUSED}.ariaLabel") == "Person 1: left ankle"
    stage = poses.editor().locator(".stage").bounding_box()
    x, y = poses.seen_at(LEFT_ANKLE)
    assert stage
    assert stage["x"] < x < stage["x"] + stage["width"], "a joint that the Tab key reaches is brought into view"
    assert stage["y"] < y < stage["y"] + stage["height"]
    assert poses.editor().locator(".stage").evaluate("(stage) => [stage.scrollLeft, stage.scrollTop]") == [0, 0]
    before = poses.place_of(LEFT_ANKLE)
    poses.page.keyboard.press("Shift+ArrowLeft")
    assert poses.place_of(LEFT_ANKLE)[0] == before[0] - 8
    assert poses.page.evaluate(f"{FOCUSED}.ariaLabel") == "Person 1: left ankle"
    assert poses.page.evaluate(UNNAMED) == []


def test_large_editor_is_the_same_document(poses: PosePage, canvas: Canvas) -> None:
    small, first = poses.sheet()["width"], poses.value()
    poses.editor().get_by_role("button", name="Large").click()
    poses.wait()
    assert poses.sheet()["width"] > 1.5 * small
    poses.drag(LEFT_WRIST, 0.1, -0.2)
    large = poses.value()
    assert large != first
    poses.page.mouse.move(*poses.seen_at(NOSE))
    graph, width = poses.page.evaluate(GRAPH_VIEW), poses.sheet()["width"]
    poses.page.mouse.wheel(0, -200)
    poses.wait()
    assert poses.sheet()["width"] > 1.3 * width
    assert poses.page.evaluate(GRAPH_VIEW) == graph
    poses.page.keyboard.press("0")
    poses.page.keyboard.press("Escape")
    poses.wait()
    assert not poses.editor().locator("dialog").evaluate("(dialog) => dialog.open")
    assert poses.sheet()["width"] == pytest.approx(small, abs=1)
    assert poses.value() == large
    assert poses.page.evaluate("app.graph.serialize().nodes[0].widgets_values[0]") == large
    poses.editor().get_by_role("button", name="Undo").click()
    assert poses.value() == first
    assert canvas.errors == []


def test_wired_poses_are_shown_changed_and_taken_again(poses: PosePage, canvas: Canvas) -> None:
    poses.add(800, 150)
    poses.page.evaluate(WIRE, [0, 1, 1, "keypoints"])
    canvas.save_output_of(1)
    wired = canvas.saved_picture()
    status = poses.editor(1).locator(".status")
    assert "as wired" in status.inner_text()
    assert poses.value(1) == ""
    assert poses.joint(LEFT_WRIST, 1).count() == 1
    x, y, _ = poses.place_of(LEFT_WRIST)
    assert wired[int(y), int(x)].any()

    poses.drag(LEFT_WRIST, 0.2, -0.3, 1)
    assert "as wired" not in status.inner_text()
    assert poses.place_of(LEFT_WRIST, 1)[:2] == pytest.approx([x + 0.2 * 512, y - 0.3 * 512], abs=2)
    changed = canvas.saved_picture()
    assert not changed[int(y), int(x)].any()
    assert (changed != wired).any()

    poses.editor(1).get_by_role("button", name="take the wired poses").click()
    assert poses.value(1) == ""
    assert poses.joint(LEFT_WRIST, 1).count() == 1
    assert (canvas.saved_picture() == wired).all()
    assert canvas.errors == []


def test_wired_picture_is_traced_and_never_part_of_the_result(
    poses: PosePage, canvas: Canvas, server: ComfyServer
) -> None:
    Image.new("RGB", (320, 192), "#c04020").save(server.base / "input" / "under.png")
    poses.editor().get_by_role("button", name="Delete the person").click()
    poses.set_value("")
    poses.page.evaluate(LOAD, "under.png")
    poses.page.wait_for_function("() => app.graph.nodes[1].imgs?.length")
    poses.page.evaluate(WIRE, [1, 0, 0, "image"])
    poses.page.mouse.move(1500, 1100)
    stage = poses.editor().locator(".stage")
    stage.hover()
    traced = poses.editor().locator(".traced")
    traced.wait_for()
    sizes = [poses.editor().get_by_role("spinbutton", name=side) for side in ("Width", "Height")]
    poses.page.wait_for_function(LOADED)
    assert [field.input_value() for field in sizes] == ["320", "192"]
    assert poses.value() == ""
    sheet, under = poses.sheet(), traced.bounding_box()
    assert under == pytest.approx(sheet, abs=1)
    poses.add_person("standing")
    opacity = poses.editor().get_by_role("slider", name="Opacity of the traced image")
    opacity.evaluate("(slider) => { slider.value = 30; slider.dispatchEvent(new Event('input')) }")
    assert traced.evaluate("(image) => image.style.opacity") == "0.3"

    canvas.save_output_of()
    picture = canvas.saved_picture()
    assert picture.shape == (192, 320, 3)
    assert (picture[:4] == 0).all()
    assert picture.any()
    poses.editor().get_by_role("button", name="Take the traced image away").click()
    assert traced.is_hidden()
    assert canvas.errors == []
