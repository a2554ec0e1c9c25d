"""The 133 points of COCO-WholeBody in the colors of mmpose: green is left, orange is right, blue is the middle.

Source: the dataset's description `coco_wholebody.py` of open-mmlab/mmpose: links and colors of links and points.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from ..keypoints import Keypoint, Pose
from .canvas import PoseStyle, pixel, point_of
from .openpose import FINGER_BONES

_GREEN, _ORANGE, _BLUE, _WHITE = (0, 255, 0), (255, 128, 0), (51, 153, 255), (255, 255, 255)

LINKS = (
    ((13, 12), _GREEN), ((12, 11), _GREEN), ((10, 9), _ORANGE), ((9, 8), _ORANGE), ((11, 8), _BLUE), ((5, 11), _BLUE),
    ((2, 8), _BLUE), ((5, 2), _BLUE), ((5, 6), _GREEN), ((2, 3), _ORANGE), ((6, 7), _GREEN), ((3, 4), _ORANGE),
    ((15, 14), _BLUE), ((0, 15), _BLUE), ((0, 14), _BLUE), ((15, 17), _BLUE), ((14, 16), _BLUE), ((17, 5), _BLUE),
    ((16, 2), _BLUE), ((13, 18), _GREEN), ((13, 19), _GREEN), ((13, 20), _GREEN), ((10, 21), _ORANGE),
    ((10, 22), _ORANGE), ((10, 23), _ORANGE),
)  # fmt: skip
"""Pairs of the 18 body points of OpenPose and, from 18 on, the six of the feet, with the RGB of the line."""

_POINT_COLORS = (
    _BLUE, None, _ORANGE, _ORANGE, _ORANGE, _GREEN, _GREEN, _GREEN, _ORANGE, _ORANGE, _ORANGE, _GREEN, _GREEN, _GREEN,
    _BLUE, _BLUE, _BLUE, _BLUE, *(_ORANGE,) * 6,
)  # fmt: skip
"""RGB of the same points; COCO has no neck."""

FINGER_COLORS = (_ORANGE, (255, 153, 255), (102, 178, 255), (255, 51, 51), _GREEN)
"""RGB from the thumb to the little finger."""

_RADIUS = 2
_FINGER = 4
"""Joints of a finger."""


def draw_coco_wholebody(canvas: np.ndarray, pose: Pose, style: PoseStyle) -> None:
    """A person: thin lines and small dots, the face as white dots."""
    if style.body:
        body = [point_of(pose.body, index) for index in range(len(_POINT_COLORS) - 6)]
        points = [*body, *(point_of(pose.feet, index) for index in range(6))]
        _draw(canvas, points, LINKS, _POINT_COLORS, max(1, style.limb_width // 2))
    if style.hands:
        links = [(bone, FINGER_COLORS[number // _FINGER]) for number, bone in enumerate(FINGER_BONES)]
        colors = (_WHITE, *(color for color in FINGER_COLORS for _ in range(_FINGER)))
        for hand in (pose.left_hand, pose.right_hand):
            _draw(canvas, hand, links, colors, style.bone_width)
    if style.face:
        # The pupils behind the 68 points are the eyes of the body, which COCO has only there.
        _draw(canvas, pose.face[:68], (), (_WHITE,) * 68, 0)


_Color = tuple[int, int, int]


def _draw(
    canvas: np.ndarray,
    points: Sequence[Keypoint | None],
    links: Iterable[tuple[tuple[int, int], _Color]],
    colors: Sequence[_Color | None],
    width: int,
) -> None:
    import cv2

    for (start, end), color in links:
        first, second = (points[index] if index < len(points) else None for index in (start, end))
        if first is not None and second is not None:
            cv2.line(canvas, pixel(canvas, first), pixel(canvas, second), color, width)
    for point, color in zip(points, colors, strict=False):
        if point is not None and color is not None:
            cv2.circle(canvas, pixel(canvas, point), _RADIUS, color, thickness=-1)
