"""The poses of the pose editor as a text in a workflow: one OpenPose frame, the JSON that POSE_KEYPOINT is made of.

    {"canvas_width": 512, "canvas_height": 512, "people": [
        {"pose_keypoints_2d": [256, 90, 1, 256, 130, 1, ...], "hand_left_keypoints_2d": [...],
         "hand_right_keypoints_2d": [...], "face_keypoints_2d": [...], "foot_keypoints_2d": [...]}]}

Numbers are x, y in pixels from the top left corner, and a score; a joint with the score 0 is hidden but keeps its
place. js/pose/document.js reads the same text with the same limits, and both sides refuse what does not fit. The editor
has no feet and no face mesh: a text that it wrote is without them.
"""

import json
from collections.abc import Mapping
from typing import Any

from ..sketch.drawing import FARTHEST, LARGEST, LARGEST_TEXT, SMALLEST
from .keypoints import FRAME_PARTS, MORE_PARTS, Keypoint, Keypoints, Pose, PoseFrame

MOST_PEOPLE = 100


def parse_poses(text: str) -> PoseFrame | None:
    """Read the editor's text; None where it is empty. Raises ValueError saying what is wrong."""
    if not text.strip():
        return None
    if len(text) > LARGEST_TEXT:
        raise ValueError(f"The poses have {len(text):,} characters; at most {LARGEST_TEXT:,} are read.")
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The poses are not JSON ({error}). Clear the pose editor to start anew.") from None
    if not isinstance(frame, dict):
        raise ValueError("The poses must be one OpenPose frame: {canvas_width, canvas_height, people}.")
    width, height = _edge(frame, "canvas_width"), _edge(frame, "canvas_height")
    people = frame.get("people")
    if not isinstance(people, list) or len(people) > MOST_PEOPLE:
        raise ValueError(f"The people of the poses must be a list of at most {MOST_PEOPLE}.")
    return PoseFrame(height, width, tuple(_pose(person, width, height, n) for n, person in enumerate(people, 1)))


def within_limits(frame: PoseFrame) -> PoseFrame:
    """The same poses on a canvas that the editor can hold, of about the same shape."""
    scale = min(1.0, LARGEST / max(frame.height, frame.width))
    height, width = (max(SMALLEST, round(edge * scale)) for edge in (frame.height, frame.width))
    return PoseFrame(height, width, frame.poses[:MOST_PEOPLE])


def _edge(frame: Mapping[str, Any], name: str) -> int:
    edge = frame.get(name)
    if type(edge) is not int or not SMALLEST <= edge <= LARGEST:
        raise ValueError(f"The {name} of the poses is {_shown(edge)}: a whole number {SMALLEST}..{LARGEST} is needed.")
    return edge


def _pose(person: Any, width: int, height: int, number: int) -> Pose:
    if not isinstance(person, dict):
        raise ValueError(f"Person {number} of the poses is {_shown(person)}, not OpenPose keypoints.")
    parts = {}
    for key, part, length in (*FRAME_PARTS, *MORE_PARTS):
        points = _points(person.get(key), length, (width, height), f"{key} of person {number}")
        parts[part] = points if any(points) else ()
    return Pose(**parts)


def _points(numbers: Any, length: int, size: tuple[int, int], where: str) -> Keypoints:
    numbers = [] if numbers is None else numbers
    if not isinstance(numbers, list) or len(numbers) % 3 or len(numbers) > 3 * length:
        raise ValueError(f"{where} must be a list x, y, score ... of at most {length} points.")
    points = []
    for start in range(0, len(numbers), 3):
        x, y = (_number(value, -FARTHEST, LARGEST + FARTHEST, where) for value in numbers[start : start + 2])
        score = _number(numbers[start + 2], 0, 1, f"A score in {where}")
        points.append(Keypoint(x / size[0], y / size[1], score) if score > 0 else None)
    return tuple(points)


def _number(value: Any, low: float, high: float, where: str) -> float:
    if type(value) not in (int, float) or not low <= value <= high:
        raise ValueError(f"{where} is {_shown(value)}: a number from {low:g} to {high:g} is needed.")
    return float(value)


def _shown(value: Any) -> str:
    """A strange value, short enough for a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
