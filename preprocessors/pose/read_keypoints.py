"""The POSE_KEYPOINT dictionaries of any writer as poses: read by what they are, or refused in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..sizes import LONGEST, MOST_PIXELS
from ..sketch.drawing import FARTHEST
from .document import MOST_PEOPLE
from .keypoints import (
    ANIMAL_POINTS,
    ANIMALS,
    BODY_POINTS,
    COCO_BODY,
    FRAME_PARTS,
    MORE_PARTS,
    Keypoint,
    Keypoints,
    Pose,
    PoseFrame,
    as_openpose_body,
)

_BODY_25, _BODY_25_FEET = (*range(8), *range(9, 19)), slice(19, 25)
"""OpenPose's larger body model: its point for each of the 18, and its feet. It also has the middle of the hips."""

_FARTHEST_POINT = LONGEST + FARTHEST

_COCO_POINTS, _BODY_25_POINTS = 17, 25
_FEWER_POINTS = 15
"""Bodies with as many points or more, but not 18, follow an order of their own."""


def from_pose_keypoint(frames: Any, minimum_score: float = 0.0) -> list[PoseFrame]:
    """The poses of POSE_KEYPOINT dictionaries.

    frames: one dictionary or a list of them. Points may be flat numbers x, y, score, or a list of such triples, or of
    pairs x, y; in lists, tuples, arrays or tensors. None or NaN stands for a lost number, and its point counts as
    missing, as does one whose score is not above `minimum_score`. Coordinates may be pixels or fractions of the
    canvas: a person whose points all lie in -1..1 is read as fractions. Bodies may have the 18 points of OpenPose, the
    25 of its larger model, or the 17 of COCO. Animals have the 17 points of AP-10K.
    Raises ValueError that names what is wrong.
    """
    frames = [] if frames is None else _plain(frames)
    if isinstance(frames, Mapping):
        frames = [frames]
    if not isinstance(frames, list):
        raise ValueError(f"Pose keypoints must be a list of OpenPose frames, not {_shown(frames)}.")
    return [_frame(frame, number, minimum_score) for number, frame in enumerate(frames)]


def _frame(frame: Any, number: int, minimum_score: float) -> PoseFrame:
    if not isinstance(frame, Mapping):
        raise ValueError(f"Frame {number} of the pose keypoints is {_shown(frame)}, not an OpenPose frame.")
    height, width = (_edge(frame.get(name), f"{name} of frame {number}") for name in ("canvas_height", "canvas_width"))
    if max(height, width) > LONGEST or height * width > MOST_PIXELS:
        raise ValueError(
            f"The canvas of frame {number} of the pose keypoints is {width} x {height}; at most "
            f"{MOST_PIXELS / 1e6:.0f} million pixels can be drawn, and {LONGEST} along a side."
        )
    people, animals = (_listed(frame, kind, number) for kind in ("people", ANIMALS))
    reader = _Reader((height, width), minimum_score)
    poses = [
        *(reader.person(found, f"person {place} in frame {number}") for place, found in people),
        *(reader.animal(found, f"animal {place} in frame {number}") for place, found in animals),
    ]
    return PoseFrame(height, width, tuple(poses))


def _listed(frame: Mapping[str, Any], kind: str, number: int) -> list[tuple[int, Any]]:
    """The people or the animals of a frame with their places, counted from 1; lost ones are left out."""
    found = _plain(frame.get(kind))
    found = [] if found is None else found
    if not isinstance(found, list):
        raise ValueError(f"The {kind} of frame {number} of the pose keypoints are {_shown(found)}, not a list.")
    if len(found) > MOST_PEOPLE:
        raise ValueError(f"Frame {number} of the pose keypoints has {len(found)} {kind}; at most {MOST_PEOPLE}.")
    return [(place, one) for place, one in enumerate(found, 1) if one is not None]


def _edge(value: Any, where: str) -> int:
    """A whole number of pixels, as a number or written out."""
    try:
        edge = int(value)
    except (TypeError, ValueError, OverflowError):
        edge = 0
    if edge < 1 or isinstance(value, bool):
        raise ValueError(f"The {where} of the pose keypoints is {_shown(value)}: a number of pixels is needed.")
    return edge


@dataclass(frozen=True)
class _Reader:
    """Reads people and animals of one frame. size: height and width of its canvas in pixels."""

    size: tuple[int, int]
    minimum_score: float

    def person(self, person: Any, where: str) -> Pose:
        if not isinstance(person, Mapping):
            number, _, frame = where.removeprefix("person ").partition(" in ")
            raise ValueError(f"Person {number} of {frame} of the pose keypoints is {_shown(person)}, not a person.")
        points = {
            part: (_points(person.get(key), f"{key} of {where}"), most, f"{key} of {where}")
            for key, part, most in (*FRAME_PARTS, *MORE_PARTS)
        }
        parts = {part: _in_order(part, *found) for part, found in points.items()}
        body = points["body"][0]
        if len(body) == _BODY_25_POINTS and not any(parts["feet"]):
            parts["feet"] = body[_BODY_25_FEET]
        return self._pose(parts)

    def animal(self, animal: Any, where: str) -> Pose:
        points = _points(animal, f"The list of {where}")
        if len(points) > ANIMAL_POINTS:
            raise ValueError(f"The list of {where} holds {len(points)} points; at most {ANIMAL_POINTS} are known.")
        return self._pose({"animal": points})

    def _pose(self, parts: Mapping[str, Keypoints]) -> Pose:
        """The parts as fractions of the canvas, those without a point left out."""
        found = [point for points in parts.values() for point in points if point is not None]
        fractions = all(abs(point.x) <= 1 and abs(point.y) <= 1 for point in found)
        height, width = (1, 1) if fractions else self.size

        def read(point: Keypoint | None) -> Keypoint | None:
            if point is None or point.score <= self.minimum_score:
                return None
            return Keypoint(point.x / width, point.y / height, min(point.score, 1.0))

        read_parts = {part: tuple(read(point) for point in points) for part, points in parts.items()}
        return Pose(**{part: points if any(points) else () for part, points in read_parts.items()})


def _in_order(part: str, points: Keypoints, most: int, where: str) -> Keypoints:
    """The points of a part in OpenPose's order. Raises ValueError for a number of points with an unknown order."""
    if part != "body":
        if len(points) > most:
            raise ValueError(f"{where} holds {len(points)} points; at most {most} are known.")
        return points
    if len(points) == _BODY_25_POINTS:
        return tuple(points[index] for index in _BODY_25)
    if len(points) == _COCO_POINTS:
        return as_openpose_body(points, COCO_BODY)
    if len(points) >= _FEWER_POINTS and len(points) != BODY_POINTS:
        raise ValueError(
            f"{where} holds {len(points)} points; bodies of 18 (OpenPose), 25 (BODY_25) and 17 points (COCO) are known."
        )
    return points


def _points(numbers: Any, where: str) -> Keypoints:
    """Points in the units of their writer; None where lost."""
    numbers = _plain(numbers)
    if numbers is None:
        return ()
    if not isinstance(numbers, list):
        raise ValueError(f"{where} is {_shown(numbers)}: x, y, score for every point are needed.")
    rows = [_plain(item) for item in numbers]
    if any(isinstance(row, list) for row in rows):
        return tuple(None if row is None else _point(row, where) for row in rows)
    if all(number is None for number in rows):
        return ()
    if len(rows) % 3:
        raise ValueError(f"{where} must hold x, y, score for every point; {len(rows)} numbers are not a multiple of 3.")
    return tuple(_point(rows[start : start + 3], where) for start in range(0, len(rows), 3))


def _point(row: Any, where: str) -> Keypoint | None:
    """x, y and score, or x and y alone; None where one of them is lost."""
    if not isinstance(row, list) or len(row) not in (2, 3):
        raise ValueError(f"{where} holds {_shown(row)}: x, y, score for every point are needed.")
    numbers = [_number(value, where) for value in row]
    if any(number is None for number in numbers):
        return None
    x, y, score = (number or 0.0 for number in (*numbers, 1.0)[:3])
    # Writers that lose a hand point export it as (-1/W, -1/H) with full confidence.
    return Keypoint(x, y, score) if score > 0 and (x >= 0 or y >= 0) else None


def _number(value: Any, where: str) -> float | None:
    """A number; None for one that is lost."""
    if value is None:
        return None
    if isinstance(value, (bool, str, bytes)) or not hasattr(value, "__float__"):
        raise ValueError(f"{where} holds {_shown(value)} where a number is needed.")
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.inf
    if math.isnan(number):
        return None
    if abs(number) > _FARTHEST_POINT:
        raise ValueError(f"{where} holds {_shown(value)}: coordinates up to {_FARTHEST_POINT:g} can be drawn.")
    return number


def _plain(value: Any) -> Any:
    """Arrays, tensors and tuples as lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return list(value)
    return value


def _shown(value: Any) -> str:
    """A strange value, short enough for a message and printable."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
