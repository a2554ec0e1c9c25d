"""The pose editor's text, and methods that hand out their poses."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.poses import HOSTILE_POSES, document
from zeroconv.preprocessors.pose.document import parse_poses, within_limits
from zeroconv.preprocessors.pose.keypoints import Keypoint, Pose, PoseFrame, to_pose_keypoint

JOINT = st.tuples(st.floats(0, 600), st.floats(0, 600), st.sampled_from([0, 0.5, 1]))


@given(st.lists(JOINT, min_size=1, max_size=18), st.integers(64, 2048), st.integers(64, 2048))
def test_joints_are_fractions_of_the_canvas_and_hidden_ones_are_missing(joints, width, height):
    frame = parse_poses(document([number for joint in joints for number in joint], width, height))
    assert frame is not None
    assert (frame.width, frame.height) == (width, height)
    expected = [None if not score else (x / width, y / height, score) for x, y, score in joints]
    assert list(frame.poses[0].body) == (expected if any(expected) else [])


def test_a_point_in_the_corner_is_not_taken_for_a_fraction():
    frame = parse_poses(document([0.5, 1, 1]))
    assert frame is not None
    assert frame.poses[0].body == (Keypoint(0.5 / 512, 1 / 512),)


def test_what_the_node_gives_can_be_the_text_of_another():
    pose = Pose(body=(Keypoint(0.25, 0.5), *[None] * 17), left_hand=(Keypoint(0.5, 0.75, 0.5), *[None] * 20))
    (frame,) = to_pose_keypoint([PoseFrame(400, 200, (pose,))])
    assert parse_poses(json.dumps(frame)) == PoseFrame(400, 200, (pose,))


def test_empty_text_is_no_poses():
    assert parse_poses(" ") is None


@pytest.mark.parametrize("text", HOSTILE_POSES, ids=lambda text: text[:50])
def test_hostile_text_is_refused(text):
    with pytest.raises(ValueError, match=r"poses|keypoints_2d"):
        parse_poses(text)


@given(st.text() | st.recursive(st.none() | st.floats() | st.text(), lambda inner: st.lists(inner)).map(json.dumps))
def test_any_text_is_read_or_refused(text):
    try:
        frame = parse_poses(text)
    except ValueError:
        return
    assert frame is None or (frame.width >= 64 and len(frame.poses) <= 100)


def test_large_canvases_are_shown_at_a_size_the_editor_holds():
    assert within_limits(PoseFrame(8192, 4096)) == PoseFrame(2048, 1024)
    assert within_limits(PoseFrame(512, 20)) == PoseFrame(512, 64)
