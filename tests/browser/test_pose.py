"""The pose editor in the real front end: joints dragged, hidden, saved, copied and run."""

import numpy as np
import pytest
from playwright.sync_api import expect
from support.poses import HOSTILE_POSES
from zeroconv.preprocessors.pose.document import parse_poses
from zeroconv.preprocessors.pose.drawing.poses import draw_poses

from .conftest import Canvas
from .pads import LEFT_WRIST, PosePage


def test_dragged_joint_is_drawn_as_the_preprocessor_draws(poses: PosePage, canvas: Canvas) -> None:
    before = poses.place_of(LEFT_WRIST)
    poses.drag(LEFT_WRIST, 0.15, -0.3)
    after = poses.place_of(LEFT_WRIST)
    assert after[:2] == pytest.approx([before[0] + 0.15 * 512, before[1] - 0.3 * 512], abs=2)
    canvas.save_output_of()
    saved = canvas.saved_picture()
    frame = parse_poses(poses.value())
    assert frame is not None
    assert (saved == np.round(draw_poses(frame.poses, frame.height, frame.width).numpy() * 255)).all()
    assert saved[int(after[1]), int(after[0])].any()
    assert canvas.errors == []


def test_keys_move_hide_and_undo(poses: PosePage) -> None:
    first = poses.value()
    x, y, _ = poses.place_of(LEFT_WRIST)
    poses.joint(LEFT_WRIST).focus()
    poses.page.keyboard.press("ArrowRight")
    poses.page.keyboard.press("Alt+ArrowDown")
    assert poses.place_of(LEFT_WRIST) == pytest.approx([x + 8, y + 1, 1])
    poses.page.keyboard.press("Delete")
    assert poses.place_of(LEFT_WRIST) == pytest.approx([x + 8, y + 1, 0])
    frame = parse_poses(poses.value())
    assert frame is not None
    assert frame.poses[0].body[LEFT_WRIST] is None
    poses.page.keyboard.press("Tab")
    focused = "document.querySelector('.zeroconv-pose').shadowRoot.activeElement?.dataset.place"
    assert poses.page.evaluate(focused) == str(LEFT_WRIST + 1)
    for _ in range(3):
        poses.page.keyboard.press("Control+z")
    assert poses.value() == first
    poses.page.keyboard.press("Control+Shift+Z")
    assert poses.place_of(LEFT_WRIST)[0] == pytest.approx(x + 8)
    assert poses.page.evaluate("app.graph.nodes.length") == 1


def test_a_joint_turns_about_the_one_it_hangs_on_when_limbs_keep_their_lengths(poses: PosePage) -> None:
    elbow, wrist = np.array(poses.place_of(LEFT_WRIST - 1)[:2]), np.array(poses.place_of(LEFT_WRIST)[:2])
    poses.press("Keep the lengths")
    poses.drag(LEFT_WRIST, 0.2, -0.4)
    dragged = np.array(poses.place_of(LEFT_WRIST)[:2])
    pointer = wrist + np.array([0.2 * 512, -0.4 * 512])
    length = np.linalg.norm(wrist - elbow)
    assert dragged == pytest.approx(elbow + length * (pointer - elbow) / np.linalg.norm(pointer - elbow), abs=1)
    poses.reload()
    assert poses.editor().get_by_role("button", name="Keep the lengths").get_attribute("aria-pressed") == "true"


def test_live_says_when_nothing_follows(poses: PosePage) -> None:
    poses.press("Live")
    expect(poses.editor().locator(".status.warning")).to_contain_text("Nothing after this node")
    assert poses.editor().get_by_role("button", name="Live").get_attribute("aria-pressed") == "false"


def test_reload_and_copy_keep_poses_apart(poses: PosePage) -> None:
    poses.drag(LEFT_WRIST, 0.1, -0.1)
    text = poses.value()
    poses.reload()
    assert poses.value() == text
    poses.copy()
    assert poses.value(1) == text
    poses.drag(LEFT_WRIST, 0.05, 0.2, 1)
    assert poses.value(0) == text
    assert poses.value(1) != text


def test_tools_act_on_the_person(poses: PosePage) -> None:
    buttons = poses.editor().locator(".toolbar .group").nth(1).locator("button")
    standing = poses.people()[0]["pose_keypoints_2d"]
    buttons.nth(1).click()
    buttons.nth(2).click()
    lengths = {key: len(numbers) // 3 for key, numbers in poses.people()[0].items()}
    assert lengths == {
        "pose_keypoints_2d": 18,
        "hand_left_keypoints_2d": 21,
        "hand_right_keypoints_2d": 21,
        "face_keypoints_2d": 70,
    }
    before = poses.people()[0]
    for _ in range(2):
        buttons.nth(0).click()
    for key, numbers in poses.people()[0].items():
        assert numbers == pytest.approx(before[key], abs=0.3)
    poses.add_person("walking")
    walking = poses.people()[1]
    buttons.nth(0).click()
    assert poses.people()[1] != walking, "who walks to the other side is another picture"
    buttons.nth(4).click()
    assert [person["pose_keypoints_2d"] for person in poses.people()] == [pytest.approx(standing, abs=0.3)]


def test_hostile_poses_run_nothing(poses: PosePage, canvas: Canvas) -> None:
    poses.page.evaluate("() => { window.alert = () => { window.attacked = true } }")
    for text in HOSTILE_POSES:
        poses.set_value(text)
        assert poses.value() == text
        assert poses.editor().locator(".status.warning").count() == 1, text[:80]
        assert poses.editor().locator(".joint").count() == 0
    poses.wait()
    assert not poses.page.evaluate("Boolean(window.attacked)")
    poses.add_person("sitting")
    assert parse_poses(poses.value()) is not None
    assert canvas.errors == []
