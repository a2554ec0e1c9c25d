"""MediaPipe's own weights on a photograph: the right places, whichever way the picture is turned."""

import math

import cv2
import numpy as np
import pytest
import torch
from skimage import data
from zeroconv.benchmarks.sides.reference_packages import reference_file
from zeroconv.preprocessors.description import Hint, Inputs
from zeroconv.preprocessors.methods.pose_face_mesh import FACE_MESH, detect_face_meshes
from zeroconv.preprocessors.methods.pose_mediapipe import MEDIAPIPE_POSE, detect_mediapipe
from zeroconv.preprocessors.pose.blaze import FACE, PALM, PERSON, anchors
from zeroconv.preprocessors.pose.drawing import face_mesh

FILES = {
    "pose_detection": "pose_detection/pose_detection",
    "pose_landmark": "pose_landmark/pose_landmark_full",
    "palm_detection": "palm_detection/palm_detection_full",
    "hand_landmark": "hand_landmark/hand_landmark_full",
    "face_detection": "face_detection/face_detection_short_range",
    "face_landmark": "face_landmark/face_landmark",
    "iris_landmark": "iris_landmark/iris_landmark",
}


@pytest.fixture(scope="module")
def networks():
    from zeroconv.preprocessors.networks.mediapipe import build_file

    torch.set_num_threads(1)
    paths = {name: reference_file(f"mediapipe/modules/{path}.tflite") for name, path in FILES.items()}
    return {f"mediapipe_{name}": build_file(path) for name, path in paths.items()}.__getitem__


@pytest.fixture(scope="module")
def astronaut():
    return data.astronaut().astype(np.float32) / 255


def poses_of(picture, networks):
    images = torch.from_numpy(picture)[None]
    return detect_mediapipe(images, MEDIAPIPE_POSE.settings(), networks)[0].poses


def pixels(points, picture):
    height, width = picture.shape[:2]
    return [None if p is None else np.array([p.x * width, p.y * height]) for p in points]


@pytest.mark.parametrize(("name", "detector"), [("pose", PERSON), ("palm", PALM), ("face", FACE)])
def test_there_is_an_anchor_for_every_row_of_the_detectors(networks, name, detector):
    network = networks(f"mediapipe_{name}_detection")
    boxes, scores = network(torch.zeros(2, 3, network.size, network.size))
    assert len(anchors(detector.strides, network.size)) == boxes.shape[1] == scores.shape[1]
    assert len(boxes) == 2


def test_one_person_whose_face_is_where_another_detector_finds_it(networks, astronaut):
    from skimage.feature import Cascade

    (pose,) = poses_of(astronaut, networks)
    cascade = Cascade(data.lbp_frontal_face_cascade_filename())
    (found,) = cascade.detect_multi_scale(
        data.astronaut(), scale_factor=1.2, step_ratio=1, min_size=(60, 60), max_size=(160, 160)
    )
    low = np.array([found["c"], found["r"]])
    high = low + np.array([found["width"], found["height"]])
    margin = 0.25 * (high - low)
    face = pixels(pose.face, astronaut)
    assert len(face) == 70
    assert all(point is not None and ((low - margin < point) & (point < high + margin)).all() for point in face)
    nose, right_eye, left_eye = (pixels(pose.body, astronaut)[i] for i in (0, 14, 15))
    assert all(((low < point) & (point < high)).all() for point in (nose, right_eye, left_eye))


def test_body_and_face_agree_and_sides_are_the_persons_own(networks, astronaut):
    (pose,) = poses_of(astronaut, networks)
    body, face = pixels(pose.body, astronaut), pixels(pose.face, astronaut)
    assert math.dist(body[0], face[30]) < 15
    assert math.dist(body[14], face[68]) < 10
    assert math.dist(body[15], face[69]) < 10
    assert body[14][0] < body[15][0]  # she faces us: her right eye is on the left of the picture
    assert body[2][0] < body[1][0] < body[5][0]
    assert body[1] == pytest.approx((body[2] + body[5]) / 2)
    assert face[8][1] > face[57][1] > face[33][1] > face[27][1] > face[19][1]  # chin, lip, nose, bridge, brow
    assert body[10] is None  # her ankles are not in the picture
    assert all(p is None or 0.5 <= p.score <= 1 for p in pose.body)


@pytest.mark.parametrize("degrees", [30, -90, 135])
def test_points_turn_with_the_picture(networks, astronaut, degrees):
    (upright,) = poses_of(astronaut, networks)
    turn = cv2.getRotationMatrix2D((255.5, 255.5), degrees, 0.7)
    turned_picture = cv2.warpAffine(astronaut, turn, (512, 512))
    turned_poses = poses_of(turned_picture, networks)
    assert len(turned_poses) == 1
    for part, limit in (("face", 6), ("body", 25)):
        before = pixels(getattr(upright, part), astronaut)
        after = pixels(getattr(turned_poses[0], part), turned_picture)
        both = [(turn @ [*a, 1], b) for a, b in zip(before, after, strict=True) if a is not None and b is not None]
        assert len(both) >= (60 if part == "face" else 7)
        assert np.median([math.dist(expected, got) for expected, got in both]) < limit


def test_a_batch_equals_a_loop_and_an_empty_picture_is_black(networks, astronaut):
    settings = MEDIAPIPE_POSE.settings()
    images = torch.stack([torch.from_numpy(astronaut), torch.full((512, 512, 3), 0.5)])
    hint = MEDIAPIPE_POSE.run(Inputs(images, settings, networks)).image
    assert hint.shape == images.shape
    assert torch.equal(hint[:1], MEDIAPIPE_POSE.run(Inputs(images[:1], settings, networks)).image)
    assert hint[0].amax() == 1
    assert hint[1].amax() == 0


def test_the_mesh_has_the_pupils_in_the_eyes_and_is_drawn_in_its_colors(networks, astronaut):
    inputs = Inputs(torch.from_numpy(astronaut)[None], FACE_MESH.settings(), networks)
    hint = FACE_MESH.run(inputs)
    assert isinstance(hint, Hint)
    assert hint.poses is not None
    (face,) = hint.poses[0].poses
    mesh = [point for point in pixels(face.face_mesh, astronaut) if point is not None]
    assert len(mesh) == 478
    for pupil, outer, inner, upper, lower in ((468, 33, 133, 159, 145), (473, 263, 362, 386, 374)):
        width = abs(mesh[outer][0] - mesh[inner][0])
        assert math.dist(mesh[pupil], (mesh[outer] + mesh[inner]) / 2) < 0.3 * width
        assert mesh[upper][1] - 3 < mesh[pupil][1] < mesh[lower][1] + 3
        # A pupil is darker than what is around the eye.
        column, row = (int(value) for value in mesh[pupil])
        around = astronaut[row - 12 : row + 12, column - 12 : column + 12].mean()
        assert astronaut[row - 1 : row + 2, column - 1 : column + 2].mean() < 0.8 * around
    found = {tuple(color) for color in (hint.image[0].reshape(-1, 3) * 255).round().byte().unique(dim=0).tolist()}
    colors = {color for _, color in face_mesh.CONTOURS}
    assert found == colors | {(0, 0, 0), (250, 200, 10), (10, 200, 250)}
    flipped = torch.from_numpy(astronaut[:, ::-1].copy())[None]
    (frame,) = detect_face_meshes(flipped, FACE_MESH.settings(), networks)
    mirrored = pixels(frame.poses[0].face_mesh, astronaut)
    assert math.dist(mirrored[468], (512 - mesh[473][0], mesh[473][1])) < 3
