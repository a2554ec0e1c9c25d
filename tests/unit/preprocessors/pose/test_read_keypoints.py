"""POSE_KEYPOINT of other writers: read by what it is, or refused in words."""

from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from zeroconv.preprocessors.pose.keypoints import FRAME_PARTS, Keypoint
from zeroconv.preprocessors.pose.read_keypoints import from_pose_keypoint

POINTS = [(100.0 + 10 * number, 200.0 + number, 0.5) for number in range(25)]


def frame(*people: object, **more: object) -> dict[str, object]:
    return {"canvas_width": 512, "canvas_height": 1024, "people": list(people), **more}


def body(numbers: object) -> list[tuple[float, float] | None]:
    """Pixels of the one body of a frame."""
    (pose,) = from_pose_keypoint(frame({"pose_keypoints_2d": numbers}))[0].poses
    return [None if point is None else (point.x * 512, point.y * 1024) for point in pose.body]


def flat(points: list[tuple[float, float, float]]) -> list[float]:
    return [number for point in points for number in point]


@pytest.mark.parametrize(
    "numbers",
    [
        flat(POINTS[:18]),
        tuple(flat(POINTS[:18])),
        POINTS[:18],
        np.array(POINTS[:18]),
        np.array(flat(POINTS[:18]), np.float32),
        [np.array(point) for point in POINTS[:18]],
        torch.tensor(POINTS[:18]),
        [(x, y) for x, y, _ in POINTS[:18]],
    ],
    ids=["flat", "tuple", "triples", "array", "flat array", "list of arrays", "tensor", "pairs without scores"],
)
def test_the_same_points_in_any_container(numbers: object) -> None:
    assert body(numbers) == [pytest.approx(point[:2]) for point in POINTS[:18]]


@pytest.mark.parametrize("lost", [None, float("nan")])
def test_a_lost_number_is_a_lost_point(lost: float | None) -> None:
    numbers: list[float | None] = [*flat(POINTS[:18])]
    numbers[3], numbers[7] = lost, lost
    assert [index for index, point in enumerate(body(numbers)) if point is None] == [1, 2]


def test_lost_parts_people_and_frames_are_left_out() -> None:
    assert body([None] * 54) == []
    assert body([None] * 18) == []
    assert body(np.zeros(54)) == []
    assert body(None) == []
    poses = from_pose_keypoint(frame(None, {}, {"pose_keypoints_2d": flat(POINTS[:18])}))[0].poses
    assert len([pose for pose in poses if pose.body]) == 1
    assert from_pose_keypoint(frame(people=None))[0].poses == ()
    assert from_pose_keypoint(None) == []
    assert from_pose_keypoint([]) == []


def test_a_body_of_25_points_is_openposes_larger_model() -> None:
    """BODY_25 has the middle of the hips at 8, and feet from 19 on."""
    assert body(flat(POINTS)) == [pytest.approx(POINTS[index][:2]) for index in (*range(8), *range(9, 19))]
    (pose,) = from_pose_keypoint(frame({"pose_keypoints_2d": flat(POINTS)}))[0].poses
    assert [(point.x * 512, point.y * 1024) for point in pose.feet] == [pytest.approx(at[:2]) for at in POINTS[19:]]


def test_a_body_of_17_points_is_cocos_and_gets_its_neck() -> None:
    found = body(flat(POINTS[:17]))
    assert found[0] == pytest.approx(POINTS[0][:2])
    left, right = POINTS[5], POINTS[6]
    assert found[1] == pytest.approx(((left[0] + right[0]) / 2, (left[1] + right[1]) / 2))
    assert [found[2], found[5]] == [pytest.approx(right[:2]), pytest.approx(left[:2])]
    assert [found[14], found[15]] == [pytest.approx(POINTS[2][:2]), pytest.approx(POINTS[1][:2])]


PERSON = {"pose_keypoints_2d": flat(POINTS[:18])}


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ("poses", "must be a list"),
        (frame(canvas_width=30_000, canvas_height=30_000), "30000 x 30000"),
        (frame(canvas_width=float("inf")), "canvas_width"),
        (frame(canvas_width=None), "canvas_width"),
        (frame(people=5), "people of frame 0"),
        (frame("x"), "Person 1 of frame 0"),
        (frame(5), "Person 1 of frame 0"),
        (frame(PERSON, *[PERSON] * 100), "101 people"),
        (frame({"pose_keypoints_2d": ["a", "b", "c"]}), "pose_keypoints_2d of person 1 in frame 0"),
        (frame({"pose_keypoints_2d": "abc"}), "pose_keypoints_2d"),
        (frame({"pose_keypoints_2d": 7}), "pose_keypoints_2d"),
        (frame({"pose_keypoints_2d": [[1, 2, 3, 4]]}), "pose_keypoints_2d"),
        (frame({"pose_keypoints_2d": [[1, 2, 1], 5]}), "pose_keypoints_2d"),
        (frame({"pose_keypoints_2d": [1, float("inf"), 1]}), "inf"),
        (frame({"pose_keypoints_2d": [1e9, 1, 1]}), "1000000000"),
        (frame({"pose_keypoints_2d": [0.5] * 3 * 15}), "15 points"),
        (frame({"pose_keypoints_2d": [0.5] * 3 * 133}), "133 points"),
        (frame({"face_keypoints_2d": [0.5] * 3 * 478}), "478 points"),
        (frame({"hand_left_keypoints_2d": [0.5] * 3 * 22}), "22 points"),
        (frame(animals=7), "animals of frame 0"),
        (frame(animals=[[0.5] * 54]), "animal 1 in frame 0 holds 18 points"),
        (frame(animals=[["a", "b", "c"]]), "animal 1 in frame 0"),
        (frame({"foot_keypoints_2d": [0.5] * 3 * 7}), "7 points"),
    ],
)
def test_what_cannot_be_read_is_named(frames: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        from_pose_keypoint(frames)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=60) | st.dictionaries(st.sampled_from([key for key, *_ in FRAME_PARTS]), inner)
    ),
    max_leaves=20,
)


@given(VALUES, VALUES)
def test_any_value_is_read_or_refused(person: object, more: object) -> None:
    for frames in (more, frame(person), frame({"pose_keypoints_2d": more}), {**frame(), "canvas_width": more}):
        with suppress(ValueError):
            assert isinstance(from_pose_keypoint(frames), list)


def test_scores_are_held_within_their_range() -> None:
    (pose,) = from_pose_keypoint(frame({"pose_keypoints_2d": [0.5, 0.5, 2, 0.25, 0.5, 0.5]}))[0].poses
    assert pose.body == (Keypoint(0.5, 0.5, 1.0), Keypoint(0.25, 0.5, 0.5))
