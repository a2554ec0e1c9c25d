"""OpenPose's skeletons, drawn as ControlNet v1.1's annotator does: the colors tell the network which limb it is."""

import colorsys
import math

import numpy as np

from ..keypoints import Keypoint, Keypoints, Pose
from .canvas import PoseStyle, pixel, point_of

LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0),
    (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
"""Pairs of body points in the order in which their limbs are drawn; limb i has color i."""

COLORS = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0), (0, 255, 85),
    (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255), (170, 0, 255),
    (255, 0, 255), (255, 0, 170), (255, 0, 85),
)  # fmt: skip
"""RGB of the 18 body points, and of the limbs."""

FINGER_BONES = tuple(
    (0 if joint == first else joint - 1, joint) for first in (1, 5, 9, 13, 17) for joint in range(first, first + 4)
)
"""Pairs of hand points, thumb to little finger, from the wrist outwards; bone i has hue i/20."""

_LIMB_SHADE = 0.6


def draw_openpose(canvas: np.ndarray, pose: Pose, style: PoseStyle) -> None:
    """A person with 18 body points, as every OpenPose ControlNet was trained."""
    if style.body:
        _draw_body(canvas, pose.body, style)
    if style.hands:
        draw_hand(canvas, pose.left_hand, style)
        draw_hand(canvas, pose.right_hand, style)
    if style.face:
        draw_face(canvas, pose.face, style)


def draw_openpose_feet(canvas: np.ndarray, pose: Pose, style: PoseStyle) -> None:
    """The same with the feet as six dots, which ComfyUI draws behind SDPose."""
    import cv2

    draw_openpose(canvas, pose, style)
    if style.body:
        for number, point in enumerate(pose.feet, len(COLORS)):
            if point is not None:
                color = COLORS[number % len(COLORS)]
                cv2.circle(canvas, pixel(canvas, point), style.joint_radius, color, thickness=-1)


def _draw_body(canvas: np.ndarray, points: Keypoints, style: PoseStyle) -> None:
    import cv2

    for (start, end), color in zip(LIMBS, COLORS, strict=False):
        first, second = point_of(points, start), point_of(points, end)
        if first is not None and second is not None:
            shade = [int(channel * _LIMB_SHADE) for channel in color]
            cv2.fillConvexPoly(canvas, _limb(canvas, first, second, style.limb_width), shade)
    for point, color in zip(points, COLORS, strict=False):
        if point is not None:
            cv2.circle(canvas, pixel(canvas, point), style.joint_radius, color, thickness=-1)


def _limb(canvas: np.ndarray, first: Keypoint, second: Keypoint, half_width: int) -> np.ndarray:
    """The outline of an ellipse from one joint to the other."""
    import cv2

    height, width = canvas.shape[:2]
    x1, y1, x2, y2 = first.x * width, first.y * height, second.x * width, second.y * height
    center = int((x1 + x2) / 2), int((y1 + y2) / 2)
    half_length = int(((x1 - x2) ** 2 + (y1 - y2) ** 2) ** 0.5 / 2)
    angle = int(math.degrees(math.atan2(y1 - y2, x1 - x2)))
    return np.asarray(cv2.ellipse2Poly(center, (half_length, half_width), angle, 0, 360, 1))


def draw_hand(canvas: np.ndarray, points: Keypoints, style: PoseStyle) -> None:
    """A hand's bones in the colors of the rainbow, its joints blue."""
    import cv2

    for index, (start, end) in enumerate(FINGER_BONES):
        first, second = point_of(points, start), point_of(points, end)
        if first is not None and second is not None:
            color = [255 * channel for channel in colorsys.hsv_to_rgb(index / len(FINGER_BONES), 1, 1)]
            cv2.line(canvas, pixel(canvas, first), pixel(canvas, second), color, style.bone_width)
    for point in points:
        if point is not None:
            cv2.circle(canvas, pixel(canvas, point), style.hand_joint_radius, (0, 0, 255), thickness=-1)


def draw_face(canvas: np.ndarray, points: Keypoints, style: PoseStyle) -> None:
    """A face as white dots."""
    import cv2

    for point in points:
        if point is not None:
            cv2.circle(canvas, pixel(canvas, point), style.face_radius, (255, 255, 255), thickness=-1)
