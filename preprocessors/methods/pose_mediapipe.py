"""MediaPipe's body, hands and face as OpenPose skeletons: free weights, from a package of the Python index."""

import math

import numpy as np
from torch import Tensor

from ..description import Hint, Inputs, Networks, Parameter, Preprocessor, Settings
from ..networks.mediapipe import tflite_network
from ..pose.blaze import PALM, PERSON, Region, detect, turn_of, whole
from ..pose.drawing.style import STYLE_PARAMETERS, pose_hint
from ..pose.face_mesh import FOUND, find_meshes
from ..pose.keypoints import FACE_POINTS, NECK, NOSE, Keypoints, Pose, PoseFrame, as_openpose_body, points_inside
from ..pose.parts import Square, face_square, hand_square

_BODY = (0, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7)
"""BlazePose's landmark for each OpenPose point but the neck."""

_FEET = (31, None, 29, 32, None, 30)
"""BlazePose's landmark for each point of the feet: the tip of the foot as big toe, no small toe, the heel."""

_ROOM = 1.5
"""Detectors look at the square of a hand or face and this much around it."""


def detect_mediapipe(images: Tensor, settings: Settings, networks: Networks) -> list[PoseFrame]:
    """The poses of each picture of a batch (B, H, W, 3) in 0..1."""
    pictures = images.float().cpu().contiguous().numpy()
    height, width = images.shape[1:3]
    return [PoseFrame(height, width, tuple(_people(picture, settings, networks))) for picture in pictures]


def _people(picture: np.ndarray, settings: Settings, networks: Networks) -> list[Pose]:
    height, width = picture.shape[:2]
    minimum = float(settings["minimum_score"])
    people = []
    for region in detect(
        picture, whole(picture), tflite_network(networks, "mediapipe_pose_detection"), PERSON, minimum
    ):
        landmarks = _body(picture, region, networks, minimum)
        body = as_openpose_body(landmarks, _BODY) if landmarks else ()
        if not any(body):
            continue
        left, right, face = (), (), ()
        if settings["hands"]:
            left, right = (_hand(picture, hand_square(body, side, height, width), networks) for side in (True, False))
        if settings["face"]:
            square = face_square(body, height, width)
            faces = _faces(picture, _around(square, _quarter_turn(body, picture)), networks) if square else []
            face = faces[0] if faces else ()
        feet = tuple(None if index is None else landmarks[index] for index in _FEET)
        people.append(Pose(body, left, right, face, feet if any(feet) else ()))
    if not people and settings["face"]:
        return [Pose(face=face) for face in _faces(picture, whole(picture), networks)]
    return people


def _body(picture: np.ndarray, region: Region, networks: Networks, minimum_score: float) -> Keypoints:
    """BlazePose's points. None where it only guesses, or where the point lies outside of the picture."""
    network = tflite_network(networks, "mediapipe_pose_landmark")
    landmarks, presence, *_ = network(region.sample(picture, network.size)[None])
    if float(presence[0]) < FOUND:
        return ()
    values = landmarks[0].unflatten(0, (-1, 5))
    points = region.to_picture(values[:, :2].numpy() / network.size)
    scores = values[:, 3].sigmoid().numpy()
    return points_inside(points, scores, picture.shape[:2], minimum_score)


def _hand(picture: np.ndarray, square: Square | None, networks: Networks) -> Keypoints:
    """The 21 points of the hand near a wrist; empty where no palm is found."""
    if square is None:
        return ()
    found = detect(picture, _around(square), tflite_network(networks, "mediapipe_palm_detection"), PALM, FOUND)
    if not found:
        return ()
    network = tflite_network(networks, "mediapipe_hand_landmark")
    landmarks, presence, *_ = network(found[0].sample(picture, network.size)[None])
    score = float(presence[0])
    if score < FOUND:
        return ()
    points = found[0].to_picture(landmarks[0].unflatten(0, (-1, 3))[:, :2].numpy() / network.size)
    return points_inside(points, np.full(len(points), score), picture.shape[:2], FOUND)


def _faces(picture: np.ndarray, within: Region, networks: Networks) -> list[Keypoints]:
    """The 68 points of iBUG 300-W and the centers of the eyes, of every face in a region, the surest first."""
    return [
        points_inside(mesh.ibug(), np.full(FACE_POINTS, mesh.score), picture.shape[:2], FOUND)
        for mesh in find_meshes(picture, within, networks)
    ]


def _around(square: Square, angle: float = 0.0) -> Region:
    half = square.side / 2
    return Region(square.left + half, square.top + half, _ROOM * square.side, angle)


def _quarter_turn(body: Keypoints, picture: np.ndarray) -> float:
    """How the head is turned, to a quarter: the face detector knows faces that are nearly upright only."""
    neck, nose = body[NECK], body[NOSE]
    if neck is None or nose is None:
        return 0.0
    height, width = picture.shape[:2]
    start, end = (np.array([point.x * width, point.y * height]) for point in (neck, nose))
    quarter = math.pi / 2
    return quarter * round(turn_of(start, end, upright=90) / quarter)


def _run(inputs: Inputs) -> Hint:
    return pose_hint(detect_mediapipe(inputs.images, inputs.settings, inputs.networks), inputs)


MEDIAPIPE_POSE = Preprocessor(
    id="mediapipe_pose",
    label="MediaPipe Pose",
    hint="pose",
    description="Colored skeletons on black as OpenPose draws them, with hands and faces, by free networks.",
    run=_run,
    gives_poses=True,
    parameters=(
        *STYLE_PARAMETERS,
        Parameter(
            "minimum_score",
            "Minimum score",
            0.5,
            "How sure the network must be of a person, and of each joint.",
            minimum=0.05,
            maximum=0.95,
            step=0.05,
        ),
    ),
    weights=(
        "mediapipe_pose_detection",
        "mediapipe_pose_landmark",
        "mediapipe_palm_detection",
        "mediapipe_hand_landmark",
        "mediapipe_face_detection",
        "mediapipe_face_landmark",
    ),
    aliases=("BlazePose", "skeleton", "stick figure"),
)
