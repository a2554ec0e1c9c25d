"""OpenPose's larger body model BODY_25, with feet and the middle of the hips, drawn as OpenPose itself draws it.

Source: poseParametersRender.hpp and renderKeypointsCpu of CMU-Perceptual-Computing-Lab/openpose: pairs, colors and
widths. Hands and faces are drawn as with the 18 points.
"""

import numpy as np

from ..keypoints import LEFT_HIP, RIGHT_HIP, Keypoint, Keypoints, Pose, between
from .canvas import PoseStyle, point_of
from .openpose import draw_face, draw_hand

PAIRS = (
    (1, 8), (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (8, 9), (9, 10), (10, 11), (8, 12), (12, 13), (13, 14),
    (1, 0), (0, 15), (15, 17), (0, 16), (16, 18), (14, 19), (19, 20), (14, 21), (11, 22), (22, 23), (11, 24),
)  # fmt: skip
"""Points that a line joins, in the order in which they are drawn; the line has the color of the second."""

COLORS = (
    (255, 0, 85), (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0),
    (255, 0, 0), (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (255, 0, 170),
    (170, 0, 255), (255, 0, 255), (85, 0, 255), (0, 0, 255), (0, 0, 255), (0, 0, 255), (0, 255, 255), (0, 255, 255),
    (0, 255, 255),
)  # fmt: skip
"""RGB of the 25 points."""

_UPPER = 8
"""Points of the 18 before the middle of the hips; the others follow it, one place further."""
_FEET = 6
_CIRCLE = 1 / 75
"""Width of a joint in the side of a square as large as the picture, for a person who fills it."""
_LINE = 0.75
"""Width of a line in that of a joint."""


def body_25(pose: Pose) -> Keypoints:
    """The 25 points of a person whose body and feet are known."""
    body = [point_of(pose.body, index) for index in range(_UPPER + 10)]
    hips = between(body[RIGHT_HIP], body[LEFT_HIP])
    return (*body[:_UPPER], hips, *body[_UPPER:], *(point_of(pose.feet, index) for index in range(_FEET)))


def draw_body_25(canvas: np.ndarray, pose: Pose, style: PoseStyle) -> None:
    """A person; lines are as wide as the person is large."""
    if style.body:
        _draw_body(canvas, body_25(pose))
    if style.hands:
        draw_hand(canvas, pose.left_hand, style)
        draw_hand(canvas, pose.right_hand, style)
    if style.face:
        draw_face(canvas, pose.face, style)


def _draw_body(canvas: np.ndarray, points: Keypoints) -> None:
    import cv2

    places = {index: _rounded(canvas, point) for index, point in enumerate(points) if point is not None}
    width = _joint_width(canvas, points)
    for start, end in PAIRS:
        if start in places and end in places:
            cv2.line(canvas, places[start], places[end], COLORS[end], max(1, int(width * _LINE + 0.5)))
    for index, place in places.items():
        cv2.circle(canvas, place, width // 2, COLORS[index], width)


def _joint_width(canvas: np.ndarray, points: Keypoints) -> int:
    """Pixels, at least 2, by the larger of the person's width and height as a fraction of the picture."""
    found = np.array([point[:2] for point in points if point is not None])
    part = min(1.0, float(np.ptp(found, axis=0).max())) if len(found) else 0.0
    return max(int((canvas.shape[0] * canvas.shape[1]) ** 0.5 * _CIRCLE * part + 0.5), 2)


def _rounded(canvas: np.ndarray, point: Keypoint) -> tuple[int, int]:
    return int(point.x * canvas.shape[1] + 0.5), int(point.y * canvas.shape[0] + 0.5)
