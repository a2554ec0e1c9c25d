"""POSE_KEYPOINT out and in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from zeroconv.preprocessors.pose.keypoints import Keypoint, Pose, PoseFrame, to_pose_keypoint
from zeroconv.preprocessors.pose.read_keypoints import from_pose_keypoint


def random_pose(seed):
    """Each part missing, whole, or with some points missing."""
    generator = np.random.default_rng(seed)

    def part(length):
        missing = generator.random(length) < generator.choice([0.0, 0.5, 1.0])
        points = generator.uniform([0, 0, 0.01], 1, (length, 3)).tolist()
        found = tuple(None if lost else Keypoint(*point) for lost, point in zip(missing, points, strict=True))
        return found if any(found) else ()

    return Pose(part(18), part(21), part(21), part(70), part(6), part(478))


@given(st.integers(0, 2**32), st.integers(64, 2048), st.integers(64, 2048))
def test_poses_survive_the_way_out_and_in(seed, height, width):
    pose = random_pose(seed)
    (frame,) = from_pose_keypoint(to_pose_keypoint([PoseFrame(height, width, (pose,))]))
    assert (frame.height, frame.width) == (height, width)
    for name in ("body", "left_hand", "right_hand", "face", "feet", "face_mesh"):
        before, after = getattr(pose, name), getattr(frame.poses[0], name)
        assert [p is None for p in before] == [p is None for p in after]
        for old, new in zip(before, after, strict=True):
            assert new == (None if old is None else pytest.approx(old, abs=1e-6))


def test_animals_survive_the_way_out_and_in_beside_people():
    places = np.random.default_rng(0).uniform(0.01, 1, (17, 3))
    dog = Pose(animal=tuple(Keypoint(*point) for point in places.tolist()))
    person = Pose(body=(Keypoint(0.5, 0.25, 0.5), *[None] * 17))
    written = to_pose_keypoint([PoseFrame(300, 400, (dog, person)), PoseFrame(300, 400, ())])
    assert [len(frame["people"]) for frame in written] == [1, 0]
    assert [(frame["version"], len(frame["animals"])) for frame in written] == [("ap10k", 1), ("ap10k", 0)]
    first, second = from_pose_keypoint(written)
    assert first.poses[0].body[0] == pytest.approx(person.body[0])
    assert np.allclose(first.poses[1].animal, places)
    assert second.poses == ()


def test_feet_are_written_only_where_they_were_found():
    """Other packs read no such part; ComfyUI's SDPose does, under this name."""
    foot = (Keypoint(0.5, 0.5, 0.25), *[None] * 5)
    with_feet, without = to_pose_keypoint([PoseFrame(100, 200, (Pose(feet=foot), Pose()))])[0]["people"]
    assert with_feet["foot_keypoints_2d"] == [100, 50, 0.25, *[0] * 15]
    assert "foot_keypoints_2d" not in without
    assert "face_mesh_keypoints_2d" not in with_feet


def test_scores_are_true_and_every_part_has_its_full_length():
    pose = Pose(body=(Keypoint(0.5, 0.25, 0.7), *[None] * 17))
    (frame,) = to_pose_keypoint([PoseFrame(400, 200, (pose,))])
    person = frame["people"][0]
    assert person["pose_keypoints_2d"][:6] == [100.0, 100.0, 0.7, 0.0, 0.0, 0.0]
    lengths = {key: len(numbers) // 3 for key, numbers in person.items()}
    assert lengths == {
        "pose_keypoints_2d": 18,
        "face_keypoints_2d": 70,
        "hand_left_keypoints_2d": 21,
        "hand_right_keypoints_2d": 21,
    }
    assert (frame["canvas_height"], frame["canvas_width"]) == (400, 200)


def test_certain_writes_full_confidence_for_readers_that_drop_the_rest():
    pose = Pose(body=(Keypoint(0.5, 0.25, 0.7), *[None] * 17))
    (frame,) = to_pose_keypoint([PoseFrame(400, 200, (pose,))], certain=True)
    assert frame["people"][0]["pose_keypoints_2d"][2] == 1.0


def test_fractions_and_pixels_read_the_same():
    pixels = {"people": [{"pose_keypoints_2d": [100, 50, 1, 0, 0, 0]}], "canvas_height": 100, "canvas_width": 200}
    fractions = {**pixels, "people": [{"pose_keypoints_2d": [0.5, 0.5, 1, 0, 0, 0]}]}
    assert from_pose_keypoint([pixels]) == from_pose_keypoint([fractions])
    assert from_pose_keypoint(pixels)[0].poses[0].body == (Keypoint(0.5, 0.5, 1), None)


def test_points_lost_by_other_writers_count_as_missing():
    """They export a lost hand point as -1 / W, -1 / H with full confidence."""
    hand = [-1 / 200, -1 / 100, 1.0, 0.5, 0.5, 1.0]
    frame = {"people": [{"hand_left_keypoints_2d": hand}], "canvas_height": 100, "canvas_width": 200}
    assert from_pose_keypoint(frame)[0].poses[0].left_hand == (None, Keypoint(0.5, 0.5, 1))


def test_a_point_on_the_left_edge_is_a_point():
    frame = {"people": [{"pose_keypoints_2d": [0, 50, 0.9]}], "canvas_height": 100, "canvas_width": 200}
    assert from_pose_keypoint(frame)[0].poses[0].body == (Keypoint(0, 0.5, 0.9),)


def test_points_below_the_minimum_score_count_as_missing():
    frame = {"people": [{"pose_keypoints_2d": [10, 50, 0.2, 20, 50, 0.8]}], "canvas_height": 100, "canvas_width": 200}
    assert [p is None for p in from_pose_keypoint(frame, 0.5)[0].poses[0].body] == [True, False]


def test_comfyui_reads_every_part_by_reshaping():
    person = to_pose_keypoint([PoseFrame(64, 64, (Pose(),))])[0]["people"][0]
    for key, length in (("pose_keypoints_2d", 18), ("face_keypoints_2d", 70), ("hand_left_keypoints_2d", 21)):
        assert np.array(person[key]).reshape(length, 3).sum() == 0


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        (3, "must be a list"),
        ([5], "Frame 0"),
        ([{"people": []}], "canvas_height"),
        ([{"people": [], "canvas_height": 0, "canvas_width": 4}], "canvas_height"),
        (
            [{"people": [{"pose_keypoints_2d": [1, 2]}], "canvas_height": 4, "canvas_width": 4}],
            "not a multiple of 3",
        ),
        (
            [{"people": [{"pose_keypoints_2d": [1, float("inf"), 1]}], "canvas_height": 4, "canvas_width": 4}],
            "inf",
        ),
    ],
)
def test_wrong_keypoints_are_named(frames, words):
    with pytest.raises(ValueError, match=words):
        from_pose_keypoint(frames)
