"""Peaks, squares and points in maps."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from zeroconv.preprocessors.pose.assembly import assemble_people, refine
from zeroconv.preprocessors.pose.keypoints import Keypoint
from zeroconv.preprocessors.pose.parts import Square, face_keypoints, face_square, hand_keypoints, hand_square


def gaussian(height, width, x, y, sigma=0.875):
    rows, columns = torch.meshgrid(torch.arange(height) * 1.0, torch.arange(width) * 1.0, indexing="ij")
    return torch.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))


@given(st.floats(2, 13), st.floats(2, 9), st.floats(0.2, 1))
def test_the_peak_of_a_gaussian_is_found_between_the_cells(x, y, height):
    heat = height * gaussian(12, 16, x, y)
    row, column = divmod(int(heat.argmax()), 16)
    (found,) = refine(heat, torch.tensor([row]), torch.tensor([column]))
    assert found.tolist() == pytest.approx([x, y], abs=0.02)


def test_empty_maps_have_nobody():
    assert assemble_people(torch.zeros(38, 8, 9), torch.zeros(19, 8, 9), 8, 9) == []


def test_three_joints_are_nobody():
    """A person has at least four."""
    fields, maps = torch.zeros(38, 16, 16), torch.zeros(19, 16, 16)
    for part, (x, y) in {1: (3, 8), 2: (8, 8), 3: (13, 8)}.items():
        maps[part] = gaussian(16, 16, x, y)
    fields[12], fields[14] = 1, 1
    assert assemble_people(fields, maps, 16, 16) == []
    maps[4], fields[17] = gaussian(16, 16, 13, 13), 1
    ((*body,),) = assemble_people(fields, maps, 16, 16)
    assert [i for i, point in enumerate(body) if point] == [1, 2, 3, 4]


def test_peaks_in_the_padding_are_not_people():
    fields, maps = torch.zeros(38, 16, 16), torch.zeros(19, 16, 16)
    for part, (x, y) in {1: (3, 12), 2: (8, 12), 3: (13, 12), 4: (13, 15)}.items():
        maps[part] = gaussian(16, 16, x, y)
    fields[12], fields[14], fields[17] = 1, 1, 1
    assert len(assemble_people(fields, maps, 16, 16)) == 1
    assert assemble_people(fields, maps, 10, 16) == []


def body(**points):
    names = {"nose": 0, "shoulder": 5, "elbow": 6, "wrist": 7, "right_eye": 14, "left_eye": 15}
    joints = [None] * 18
    for name, (x, y) in points.items():
        joints[names[name]] = Keypoint(x, y)
    return tuple(joints)


def test_a_hand_at_the_edge_keeps_a_whole_square():
    square = hand_square(body(shoulder=(0.5, 0.5), elbow=(0.7, 0.6), wrist=(0.95, 0.97)), True, 200, 200)
    assert square is not None
    assert square.left + square.side <= 200
    assert square.crop(np.zeros((200, 200, 3))).shape == (square.side, square.side, 3)


def test_missing_joints_give_no_square():
    assert hand_square(body(elbow=(0.7, 0.6), wrist=(0.9, 0.9)), True, 200, 200) is None
    assert face_square(body(nose=(0.5, 0.5)), 200, 200) is None
    assert face_square(body(left_eye=(0.5, 0.5)), 200, 200) is None


def test_a_face_beyond_the_edge_moves_into_the_picture():
    square = face_square(body(nose=(0.96875, 0.5), right_eye=(0.890625, 0.45)), 200, 200)
    assert square is not None
    assert (square.left + square.side, square.side) == (200, 93)


def test_the_heaviest_blob_of_a_hand_map_wins_over_a_higher_speck():
    maps = torch.zeros(22, 128, 128)
    maps[0] = 0.6 * gaussian(128, 128, 90, 40, sigma=8)
    maps[0, 100, 20] = 0.9
    points = hand_keypoints(maps, Square(10, 20, 64), 200, 100)
    assert points[1:] == (None,) * 20
    assert points[0] is not None
    assert points[0].x * 100 == pytest.approx(10 + 90.5 / 2, abs=0.3)
    assert points[0].y * 200 == pytest.approx(20 + 40.5 / 2, abs=0.3)
    assert points[0].score == pytest.approx(0.6, abs=0.01)


def test_face_points_keep_their_places_when_one_is_lost():
    maps = torch.zeros(71, 48, 48)
    maps[3] = gaussian(48, 48, 10, 20)
    maps[69] = gaussian(48, 48, 30, 5)
    maps[70] = 1.0
    points = face_keypoints(maps, Square(0, 0, 48), 48, 48)
    assert [i for i, point in enumerate(points) if point] == [3, 69]
    assert len(points) == 70
