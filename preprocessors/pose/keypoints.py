"""Poses as values, and as the POSE_KEYPOINT dictionaries that ComfyUI and other packs exchange."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

BODY_POINTS, HAND_POINTS, FACE_POINTS = 18, 21, 70

NOSE, NECK = 0, 1
RIGHT_SHOULDER, RIGHT_ELBOW, RIGHT_WRIST = 2, 3, 4
LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST = 5, 6, 7
RIGHT_EYE, LEFT_EYE, RIGHT_EAR, LEFT_EAR = 14, 15, 16, 17


class Keypoint(NamedTuple):
    """A point of a pose: x and y as fractions of the picture's width and height, score in 0..1."""

    x: float
    y: float
    score: float = 1.0


Keypoints = tuple[Keypoint | None, ...]
"""Points in the order of their model; None where the point was not found."""


@dataclass(frozen=True)
class Pose:
    """One person. A part that was not looked for or not found is an empty tuple.

    body: 18 points, COCO order with the neck at 1. left_hand, right_hand: 21 points, the wrist first.
    face: up to 70 points, the 68 of iBUG 300-W and the two pupils.
    """

    body: Keypoints = ()
    left_hand: Keypoints = ()
    right_hand: Keypoints = ()
    face: Keypoints = ()


@dataclass(frozen=True)
class PoseFrame:
    """The people of one picture of `height` x `width` pixels."""

    height: int
    width: int
    poses: tuple[Pose, ...] = field(default=())


COCO_BODY = (0, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
"""COCO's point for each OpenPose point but the neck."""


def as_openpose_body(points: Keypoints, order: Sequence[int]) -> Keypoints:
    """The 18 points of OpenPose from another model's.

    order: the model's index for each OpenPose point but the neck, which is put between the shoulders.
    """
    body = [points[index] for index in order]
    right, left = body[RIGHT_SHOULDER - 1], body[LEFT_SHOULDER - 1]
    neck = None
    if right is not None and left is not None:
        neck = Keypoint((right.x + left.x) / 2, (right.y + left.y) / 2, min(right.score, left.score))
    return (body[NOSE], neck, *body[NECK:])


FRAME_PARTS = (
    ("pose_keypoints_2d", "body", BODY_POINTS),
    ("face_keypoints_2d", "face", FACE_POINTS),
    ("hand_left_keypoints_2d", "left_hand", HAND_POINTS),
    ("hand_right_keypoints_2d", "right_hand", HAND_POINTS),
)
"""Key in OpenPose's format, field of `Pose`, most points."""


def to_pose_keypoint(frames: Sequence[PoseFrame], certain: bool = False) -> list[dict[str, Any]]:
    """POSE_KEYPOINT: one OpenPose dictionary a picture, coordinates in pixels, x, y, score for every point.

    Every part is written at its full length, (0, 0, 0) where a point is missing, as ComfyUI's own readers need it.
    certain: write 1.0 as the score of every point found; some readers drop each point that has less.
    """
    return [
        {
            "people": [_person(pose, frame, certain) for pose in frame.poses],
            "canvas_height": frame.height,
            "canvas_width": frame.width,
        }
        for frame in frames
    ]


def _person(pose: Pose, frame: PoseFrame, certain: bool) -> dict[str, list[float]]:
    person = {}
    for key, part, length in FRAME_PARTS:
        points: Keypoints = getattr(pose, part)
        numbers: list[float] = []
        for index in range(length):
            point = points[index] if index < len(points) else None
            if point is None:
                numbers += [0.0, 0.0, 0.0]
            else:
                score = 1.0 if certain else float(point.score)
                numbers += [float(point.x * frame.width), float(point.y * frame.height), score]
        person[key] = numbers
    return person
