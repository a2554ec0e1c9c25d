"""What is drawn outlives keys that mean something else to the graph, and the front end knows of each change at once."""

from .conftest import Canvas
from .pads import LEFT_WRIST, CurvePage, EditorPage, PadPage, PosePage

CURVE = [(0.2, 0.3), (0.3, 0.6), (0.5, 0.7), (0.7, 0.4)]
KNOWN = "app.extensionManager.workflow.activeWorkflow.changeTracker.activeState.nodes[0]?.widgets_values[0]"
"""The first value of the only node, as the front end would save it as a draft."""
SELECT = "app.canvas.selectItems([app.graph.nodes[0]])"
NODES = "app.graph.nodes.length"
ON_CHANGE = """() => {
    const save = LiteGraph.createNode('PreviewImage')
    save.pos = [900, 150]
    app.graph.add(save)
    app.graph.nodes[0].connect(0, save, 0)
    app.ui.autoQueueMode = 'change'
    app.ui.autoQueueEnabled = true
}"""


def assert_known(editor: EditorPage) -> None:
    assert editor.page.evaluate(KNOWN) == editor.value()


def test_front_end_knows_of_every_change_of_a_drawing(pad: PadPage) -> None:
    keyboard = pad.page.keyboard
    pad.draw(CURVE)
    assert_known(pad)
    for keys in ("Enter", "ArrowRight", "Enter"):
        keyboard.press(keys)
    assert len(pad.strokes()) == 2
    assert_known(pad)
    for name in ("Undo", "Redo", "Clear", "Undo"):
        before = pad.value()
        pad.press(name)
        assert pad.value() != before
        assert_known(pad)
    keyboard.press("Control+z")
    assert_known(pad)
    paper = pad.editor().locator("input.paper")
    paper.evaluate("(field) => { field.value = '#203040'; field.dispatchEvent(new Event('change')) }")
    assert "#203040" in pad.value()
    assert_known(pad)


def test_front_end_knows_of_every_change_of_a_pose(poses: PosePage) -> None:
    poses.add_person("walking")
    assert_known(poses)
    for name in ("Mirror", "Hands", "Undo", "Redo", "Delete the person"):
        before = poses.value()
        poses.press(name)
        assert poses.value() != before, name
        assert_known(poses)
    poses.joint(LEFT_WRIST).focus()
    poses.page.keyboard.press("ArrowRight")
    assert_known(poses)


def test_front_end_knows_of_every_change_of_a_curve(curve: CurvePage) -> None:
    before = curve.value()
    curve.press("Add")
    assert curve.value() != before
    assert_known(curve)
    curve.editor().locator("select").select_option("hold")
    assert_known(curve)
    curve.press("Remove")
    assert_known(curve)


def test_delete_takes_a_new_keyframe_and_never_the_node(curve: CurvePage) -> None:
    page, before = curve.page, curve.value()
    page.evaluate(SELECT)
    box = curve.editor().locator(".picture").bounding_box()
    assert box
    page.mouse.dblclick(box["x"] + 0.8 * box["width"], box["y"] + 0.3 * box["height"])
    assert curve.value() != before
    page.keyboard.press("Delete")
    assert curve.value() == before
    curve.press("Add")
    assert curve.value() != before
    page.keyboard.press("Delete")
    assert curve.value() == before
    for _ in range(2):
        curve.press("Remove")
    for place in (0.1, 0.5):
        page.keyboard.press("Delete")
        page.keyboard.press("Backspace")
        assert page.evaluate(NODES) == 1
        page.mouse.click(box["x"] + place * box["width"], box["y"] + 0.9 * box["height"])
    assert curve.value().count(":") == 1


def test_delete_in_an_editor_never_takes_the_node(pad: PadPage, canvas: Canvas) -> None:
    page = pad.page
    poses = PosePage(page)
    poses.add(800, 150)
    poses.add_person("standing")
    page.evaluate("app.canvas.selectItems(app.graph.nodes)")
    pad.draw(CURVE)
    for editor, tools in ((pad, ("Clear",)), (poses, ("Delete the person", "Undo", "Clear"))):
        index = 0 if editor is pad else 1
        for name in tools:
            editor.press(name)
            for key in ("Delete", "Backspace"):
                page.keyboard.press(key)
                assert page.evaluate(NODES) == 2, name
        for part in (".status", ".toolbar"):
            box = editor.editor().locator(part).bounding_box()
            assert box
            page.mouse.click(box["x"] + box["width"] - 3, box["y"] + box["height"] - 3)
            page.keyboard.press("Delete")
            assert page.evaluate(NODES) == 2, part
        assert editor.value(index) is not None
    assert canvas.errors == []


def test_undo_of_an_editor_is_its_own_while_changes_run_by_themselves(pad: PadPage) -> None:
    """With "Run (On Change)" the front end asks less who has the focus."""
    pad.page.evaluate(ON_CHANGE)
    try:
        pad.draw(CURVE)
        pad.draw([(0.8, 0.2), (0.8, 0.8)])
        first, node = pad.strokes()[:1], pad.page.evaluate("app.graph.nodes[0].id")
        pad.page.evaluate("() => { window.node_ = app.graph.nodes[0] }")
        pad.page.keyboard.press("Control+z")
        pad.wait()
        assert pad.strokes() == first
        assert pad.page.evaluate("(id) => app.graph.getNodeById(id) === window.node_", node), "the graph was not undone"
        pad.page.keyboard.press("Control+Shift+Z")
        pad.wait()
        assert len(pad.strokes()) == 2
    finally:
        pad.page.evaluate("app.ui.autoQueueEnabled = false")


def test_large_view_is_left_by_escape_and_button(pad: PadPage) -> None:
    large_view_is_left(pad)


def test_large_pose_editor_is_left_by_escape_and_button(poses: PosePage) -> None:
    large_view_is_left(poses)


def large_view_is_left(editor: EditorPage) -> None:
    dialog = editor.editor().locator("dialog")
    if isinstance(editor, PadPage):
        editor.draw(CURVE)

    def is_open() -> bool:
        return dialog.evaluate("(dialog) => dialog.open")

    for first in ("Clear", "Undo", "", "status"):
        editor.press("Large")
        assert is_open()
        if first == "status":
            editor.editor().locator(".status").click()
        elif first:
            editor.press(first)
        else:
            box = dialog.bounding_box()
            assert box
            editor.page.mouse.click(box["x"] + 4, box["y"] + box["height"] - 4)
        editor.page.keyboard.press("Escape")
        assert not is_open(), f"after {first}"
        editor.leave()
    editor.press("Large")
    close = dialog.get_by_role("button", name="Close")
    assert close.is_visible()
    close.click()
    assert not is_open()


def test_saving_leaves_the_large_view(pad: PadPage) -> None:
    """The front end asks for a name, below a large view that stays."""
    pad.draw(CURVE)
    pad.press("Large")
    pad.page.keyboard.press("Control+s")
    field = pad.page.locator("[role=dialog] input[type=text]")
    field.wait_for()
    field.fill("of the test")
    field.press("Escape")
    assert not pad.editor().locator("dialog").evaluate("(dialog) => dialog.open")
    assert len(pad.strokes()) == 1


def test_brush_outlives_undo_of_the_graph_and_reload(pad: PadPage) -> None:
    page = pad.page
    pad.draw(CURVE)
    page.keyboard.press("e")
    for _ in range(3):
        page.keyboard.press("]")
    pad.editor().get_by_label("Class color").select_option(label="tree")
    page.keyboard.press("m")
    page.keyboard.press("e")
    before = brush(pad)
    assert before == ["Eraser (E)", "14", "#04c803", "true"]
    pad.draw([(0.3, 0.4), (0.4, 0.4)])
    page.evaluate("app.extensionManager.command.execute('Comfy.Undo')")
    page.wait_for_function("() => (app.graph.nodes[0]?.widgets[0].value.match(/tool/g) ?? []).length === 1")
    pad.wait()
    assert brush(pad) == before
    pad.reload()
    assert brush(pad) == before
    pad.add(900, 150)
    assert brush(pad, 1) == ["Pen (B)", "8", "#ffffff", "false"], "a new pad begins anew"


def brush(pad: PadPage, index: int = 0) -> list[str]:
    """Tool, size, color and whether it mirrors, as the tools show them."""
    editor = pad.editor(index)
    return [
        *editor.locator(".group").first.locator("[aria-pressed=true]").evaluate_all("(all) => all.map((b) => b.title)"),
        editor.locator("output").inner_text(),
        editor.locator("input.color").input_value(),
        editor.get_by_role("button", name="Mirror").get_attribute("aria-pressed") or "",
    ]


def test_canvas_size_is_swapped_and_chosen_and_nothing_moves(pad: PadPage) -> None:
    pad.draw(CURVE)
    strokes, sizes = pad.strokes(), pad.editor().get_by_label("Canvas sizes")
    sizes.select_option(label="832 × 1216")
    assert pad.size() == (832, 1216)
    pad.press("Swap")
    assert pad.size() == (1216, 832)
    assert pad.strokes() == strokes
    assert_known(pad)
    pad.page.keyboard.press("Control+z")
    assert pad.size() == (832, 1216)
    assert sizes.input_value() == ""
