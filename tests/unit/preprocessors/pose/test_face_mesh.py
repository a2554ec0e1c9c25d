"""Face meshes: where eyes are looked for, and how a picture's faces become poses."""

import math

import numpy as np
import pytest
import torch
from zeroconv.preprocessors.methods import pose_face_mesh
from zeroconv.preprocessors.methods.pose_face_mesh import FACE_MESH, detect_face_meshes
from zeroconv.preprocessors.networks.mediapipe import TfliteNetwork
from zeroconv.preprocessors.pose.face_mesh import FaceMesh, eye_region, with_irises


@pytest.mark.parametrize("degrees", [0, 30, -75, 180])
def test_an_eye_lies_level_in_the_middle_of_its_square(degrees):
    turn = math.radians(degrees)
    middle, half = np.array([120.0, 80.0]), 10 * np.array([math.cos(turn), math.sin(turn)])
    region = eye_region(middle - half, middle + half)
    corners = region.to_picture(np.array([[0.0, 0.5], [1.0, 0.5]]))
    along = corners[1] - corners[0]
    assert corners.mean(0) == pytest.approx(middle)
    assert math.atan2(along[1], along[0]) == pytest.approx(math.atan2(half[1], half[0]), abs=1e-9)
    assert region.side == pytest.approx(2.3 * 20 * max(abs(math.cos(turn)), abs(math.sin(turn))))


class Darkest(TfliteNetwork):
    """In place of the iris network: the darkest place is the iris; remembers what it saw."""

    def __init__(self):
        torch.nn.Module.__init__(self)
        self.seen = []

    @property
    def size(self):
        return 64

    def forward(self, images):
        (image,) = images
        self.seen.append(image)
        row, column = divmod(int(image.sum(0).argmin()), 64)
        place = torch.tensor([column + 0.5, row + 0.5, 0.0])
        return torch.zeros(1, 213), place.repeat(5)[None]


def test_irises_are_where_they_were_seen_and_one_eye_is_shown_mirrored():
    picture = np.ones((200, 300, 3), np.float32)
    picture[98:102, 108:112] = 0
    picture[98:102, 188:192] = 0
    points = np.zeros((468, 2))
    points[[33, 133, 362, 263]] = [[95, 100], [115, 100], [175, 100], [195, 100]]
    network = Darkest()
    found = with_irises(picture, FaceMesh(points, 0.9), {"mediapipe_iris_landmark": network}.__getitem__)
    assert found.points.shape == (478, 2)
    assert found.points[468:473] == pytest.approx(np.tile([110, 100], (5, 1)), abs=3)
    assert found.points[473:478] == pytest.approx(np.tile([190, 100], (5, 1)), abs=3)
    left, right = (image.sum(0).argmin().item() % 64 for image in network.seen)
    assert left > 32 > right, "both irises are 5 pixels right of their eyes' middle"


def test_the_surest_and_large_enough_faces_become_poses(monkeypatch):
    def face(left, size, score):
        generator = np.random.default_rng(0)
        return FaceMesh(
            np.concatenate([np.zeros((1, 2)), np.ones((1, 2)), generator.random((476, 2))]) * size + left, score
        )

    meshes = [face(10, 100, 0.9), face(120, 30, 0.8), face(160, 70, 0.7), face(150, 80, 0.6)]
    monkeypatch.setattr(pose_face_mesh, "find_meshes", lambda *_: meshes)
    monkeypatch.setattr(pose_face_mesh, "with_irises", lambda picture, mesh, networks: mesh)
    settings = FACE_MESH.settings({"faces": 3})
    frames = detect_face_meshes(torch.zeros(2, 200, 200, 3), settings, {}.__getitem__)
    for frame in frames:
        first, last = frame.poses
        assert (len(first.face_mesh), len(first.face)) == (478, 70)
        assert first.face_mesh[0].x * 200 == pytest.approx(10)
        assert first.face_mesh[0].score == 0.9
        assert last.face_mesh[1] is None, "beyond the picture"
