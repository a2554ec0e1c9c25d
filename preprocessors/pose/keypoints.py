"""Poses as values, and as the POSE_KEYPOINT dictionaries that ComfyUI and other packs exchange."""

import math
from collections.abc import Mapping, Sequence
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


def from_pose_keypoint(frames: Any, minimum_score: float = 0.0) -> list[PoseFrame]:
    """The poses of POSE_KEYPOINT dictionaries, from any writer.

    frames: one dictionary or a list of them. Coordinates may be pixels or fractions of the canvas: a person whose
    points all lie in -1..1 is read as fractions. Points whose score is not above `minimum_score` count as missing.
    Raises ValueError that names what is wrong.
    """
    if isinstance(frames, Mapping):
        frames = [frames]
    if not isinstance(frames, Sequence) or isinstance(frames, str):
        raise ValueError(f"Pose keypoints must be a list of OpenPose frames, not {type(frames).__name__}.")
    return [_frame(frame, number, minimum_score) for number, frame in enumerate(frames)]


def _frame(frame: Any, number: int, minimum_score: float) -> PoseFrame:
    if not isinstance(frame, Mapping):
        raise ValueError(f"Frame {number} of the pose keypoints is a {type(frame).__name__}, not an OpenPose frame.")
    try:
        height, width = int(frame["canvas_height"]), int(frame["canvas_width"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"Frame {number} of the pose keypoints needs canvas_height and canvas_width.") from error
    if height < 1 or width < 1:
        raise ValueError(f"Frame {number} of the pose keypoints has an empty canvas ({width} x {height}).")
    people = frame.get("people") or []
    return PoseFrame(height, width, tuple(_pose(person, height, width, minimum_score) for person in people))


def _pose(person: Mapping[str, Any], height: int, width: int, minimum_score: float) -> Pose:
    triples = {part: _triples(person.get(key), key) for key, part, _ in FRAME_PARTS}
    found = [point for points in triples.values() for point in points if point is not None]
    fractions = all(abs(point.x) <= 1 and abs(point.y) <= 1 for point in found)
    scale_x, scale_y = (1, 1) if fractions else (width, height)

    def read(point: Keypoint | None) -> Keypoint | None:
        if point is None or point.score <= minimum_score:
            return None
        return Keypoint(point.x / scale_x, point.y / scale_y, point.score)

    parts = {part: tuple(read(point) for point in points) for part, points in triples.items()}
    return Pose(**{part: points if any(points) else () for part, points in parts.items()})


def _triples(numbers: Any, key: str) -> list[Keypoint | None]:
    """Flat x, y, score numbers, or a list of such triples, as points; a score of 0 means not found."""
    if not numbers:
        return []
    flat = [float(value) for item in numbers for value in (item if isinstance(item, Sequence) else (item,))]
    if len(flat) % 3:
        raise ValueError(f"{key} must hold x, y, score for every point; {len(flat)} numbers are no multiple of 3.")
    if not all(map(math.isfinite, flat)):
        raise ValueError(f"{key} holds a number that is not finite.")
    points = (Keypoint(*flat[start : start + 3]) for start in range(0, len(flat), 3))
    # Writers that lose a hand point export it as (-1/W, -1/H) with full confidence.
    return [point if point.score > 0 and (point.x >= 0 or point.y >= 0) else None for point in points]
