"""Poses as values, and as the POSE_KEYPOINT dictionaries that ComfyUI and other packs exchange."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np

BODY_POINTS, HAND_POINTS, FACE_POINTS = 18, 21, 70
FEET_POINTS, FACE_MESH_POINTS, ANIMAL_POINTS = 6, 478, 17

NOSE, NECK = 0, 1
RIGHT_SHOULDER, RIGHT_ELBOW, RIGHT_WRIST = 2, 3, 4
LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST = 5, 6, 7
RIGHT_HIP, RIGHT_ANKLE, LEFT_HIP, LEFT_ANKLE = 8, 10, 11, 13
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
    """One person or animal. A part that was not looked for or not found is an empty tuple.

    body: 18 points, COCO order with the neck at 1. left_hand, right_hand: 21 points, the wrist first.
    face: up to 70 points, the 68 of iBUG 300-W and the two pupils. feet: 6 points, big toe, small toe and heel of the
    left foot, then of the right. face_mesh: 478 points, MediaPipe's 468 and five of each iris. animal: 17 points of
    AP-10K; all other parts of an animal are empty.
    """

    body: Keypoints = ()
    left_hand: Keypoints = ()
    right_hand: Keypoints = ()
    face: Keypoints = ()
    feet: Keypoints = ()
    face_mesh: Keypoints = ()
    animal: Keypoints = ()


@dataclass(frozen=True)
class PoseFrame:
    """The people and animals of one picture of `height` x `width` pixels."""

    height: int
    width: int
    poses: tuple[Pose, ...] = field(default=())


def points_inside(
    points: np.ndarray, scores: Sequence[float] | np.ndarray, size: tuple[int, int], minimum: float
) -> Keypoints:
    """Points (N, 2) in pixels as x, y with their scores (N,), as fractions of a picture of that height and width.

    None for those with less than `minimum`, and for those outside of the picture.
    """
    height, width = size
    return tuple(
        Keypoint(float(x / width), float(y / height), float(score))
        if score >= minimum and 0 <= x < width and 0 <= y < height
        else None
        for (x, y), score in zip(points, scores, strict=True)
    )


COCO_BODY = (0, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
"""COCO's point for each OpenPose point but the neck."""


def as_openpose_body(points: Keypoints, order: Sequence[int]) -> Keypoints:
    """The 18 points of OpenPose from another model's.

    order: the model's index for each OpenPose point but the neck, which is put between the shoulders.
    """
    body = [points[index] for index in order]
    neck = between(body[RIGHT_SHOULDER - 1], body[LEFT_SHOULDER - 1])
    return (body[NOSE], neck, *body[NECK:])


def between(first: Keypoint | None, second: Keypoint | None) -> Keypoint | None:
    """The point in the middle, as sure as the less sure of both; None where one of them is lost."""
    if first is None or second is None:
        return None
    return Keypoint((first.x + second.x) / 2, (first.y + second.y) / 2, min(first.score, second.score))


FRAME_PARTS = (
    ("pose_keypoints_2d", "body", BODY_POINTS),
    ("face_keypoints_2d", "face", FACE_POINTS),
    ("hand_left_keypoints_2d", "left_hand", HAND_POINTS),
    ("hand_right_keypoints_2d", "right_hand", HAND_POINTS),
)
"""Key in OpenPose's format, field of `Pose`, most points: what every reader of a person looks for."""

MORE_PARTS = (("foot_keypoints_2d", "feet", FEET_POINTS), ("face_mesh_keypoints_2d", "face_mesh", FACE_MESH_POINTS))
"""The same for what is written only where it was found. ComfyUI's SDPose names the feet so; the mesh has no other name
in use."""

ANIMALS, ANIMAL_FORMAT = "animals", "ap10k"
"""Key of the animals of a frame, and its `version`, as comfyui_controlnet_aux has them."""


def to_pose_keypoint(frames: Sequence[PoseFrame], certain: bool = False) -> list[dict[str, Any]]:
    """POSE_KEYPOINT: one OpenPose dictionary a picture, coordinates in pixels, x, y, score for every point.

    Every part is written at its full length, (0, 0, 0) where a point is missing, as ComfyUI's own readers need it.
    Where a frame has animals, every frame lists them, each as triples x, y, score.
    certain: write 1.0 as the score of every point found; some readers drop each point that has less.
    """
    with_animals = any(pose.animal for frame in frames for pose in frame.poses)
    return [
        {
            "people": [_person(pose, frame, certain) for pose in frame.poses if not pose.animal],
            "canvas_height": frame.height,
            "canvas_width": frame.width,
            **({"version": ANIMAL_FORMAT, ANIMALS: _animals(frame, certain)} if with_animals else {}),
        }
        for frame in frames
    ]


def _person(pose: Pose, frame: PoseFrame, certain: bool) -> dict[str, list[float]]:
    person = {}
    parts = (*FRAME_PARTS, *(part for part in MORE_PARTS if getattr(pose, part[1])))
    for key, part, length in parts:
        points: Keypoints = getattr(pose, part)
        triples = (_triple(points[index] if index < len(points) else None, frame, certain) for index in range(length))
        person[key] = [number for triple in triples for number in triple]
    return person


def _animals(frame: PoseFrame, certain: bool) -> list[list[list[float]]]:
    return [[_triple(point, frame, certain) for point in pose.animal] for pose in frame.poses if pose.animal]


def _triple(point: Keypoint | None, frame: PoseFrame, certain: bool) -> list[float]:
    if point is None:
        return [0.0, 0.0, 0.0]
    return [float(point.x * frame.width), float(point.y * frame.height), 1.0 if certain else float(point.score)]
