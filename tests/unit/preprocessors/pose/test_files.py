"""Poses in files: what was saved is loaded, what OpenPose and other packs wrote too, and nothing is overwritten."""

import json

import pytest
from zeroconv.preprocessors.pose.files import FILM_LAYOUTS, Canvas, load_poses, save_poses
from zeroconv.preprocessors.pose.keypoints import Keypoint, Pose, PoseFrame, to_pose_keypoint

BODY = tuple(None if index == 4 else Keypoint(0.25 + index / 64, 0.5, 0.5) for index in range(18))
FILM = [PoseFrame(480, 640, (Pose(body=BODY),)), PoseFrame(480, 640), PoseFrame(480, 640, (Pose(body=BODY),) * 2)]


@pytest.mark.parametrize("layout", FILM_LAYOUTS)
def test_what_was_saved_is_loaded(tmp_path, layout):
    paths = save_poses(tmp_path, "walk", FILM, layout)
    assert len(paths) == (1 if layout == "one file" else 3)
    loaded = load_poses(paths[0] if layout == "one file" else paths[0].parent, Canvas())
    assert to_pose_keypoint(loaded) == to_pose_keypoint(FILM)


@pytest.mark.parametrize("layout", FILM_LAYOUTS)
def test_nothing_is_overwritten(tmp_path, layout):
    (tmp_path / "walk_00007.json").write_text("mine")
    first, second = (save_poses(tmp_path, "walk", FILM, layout) for _ in range(2))
    assert (tmp_path / "walk_00007.json").read_text() == "mine"
    assert not set(first) & set(second)
    assert all("walk_00008" in str(path) for path in first)


def test_frames_come_in_the_order_of_their_numbers(tmp_path):
    for number in (10, 2, 1):
        frame = PoseFrame(100, 100 + number)
        (tmp_path / f"take{number}_keypoints.json").write_text(json.dumps(to_pose_keypoint([frame])[0]))
    assert [frame.width for frame in load_poses(tmp_path, Canvas())] == [101, 102, 110]


def test_openposes_own_files_need_the_size_of_the_picture(tmp_path):
    file = tmp_path / "a_000000000000_keypoints.json"
    numbers = [number for index in range(18) for number in (10.0 * index, 50.0, 0.9)]
    file.write_text(json.dumps({"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": numbers}]}))
    with pytest.raises(ValueError, match=r"'a_000000000000_keypoints\.json' cannot be read as poses\. .*canvas_width"):
        load_poses(file, Canvas())
    (frame,) = load_poses(file, Canvas(height=100, width=200))
    assert (frame.height, frame.width, frame.poses[0].body[3]) == (100, 200, Keypoint(0.15, 0.5, 0.9))


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", '{"people": 3, "canvas_width": 9, "canvas_height": 9}', "[" * 9000]
)
def test_a_file_that_holds_no_poses_is_named(tmp_path, content):
    (tmp_path / "bad.json").write_text(content)
    with pytest.raises(ValueError, match=r"bad\.json"):
        load_poses(tmp_path / "bad.json", Canvas())


def test_a_folder_without_files_and_a_name_that_is_a_path(tmp_path):
    with pytest.raises(ValueError, match=r"holds no \.json files"):
        load_poses(tmp_path, Canvas())
    for name in ("../a", "a/b", "CON", "a."):
        with pytest.raises(ValueError, match="name"):
            save_poses(tmp_path, name, FILM, "one file")
    with pytest.raises(ValueError, match="no poses to save"):
        save_poses(tmp_path, "a", [], "one file")
    assert not list(tmp_path.iterdir())


def test_loading_can_be_cancelled(tmp_path):
    save_poses(tmp_path, "walk", FILM, "a file a frame")

    class Stopped(Exception):
        pass

    def stop():
        raise Stopped

    with pytest.raises(Stopped):
        load_poses(tmp_path / "walk_00001", Canvas(), stop)
