"""Skeletons as pictures, drawn as ControlNet v1.1's annotator does: the colors tell the network which limb it is."""

import colorsys
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..keypoints import Keypoint, Keypoints, Pose, PoseFrame

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


@dataclass(frozen=True)
class PoseStyle:
    """The parts that are drawn, and their thickness in pixels; by default as the OpenPose ControlNets were trained.

    limb_width: half the width of a body limb.
    """

    body: bool = True
    hands: bool = True
    face: bool = True
    limb_width: int = 4
    joint_radius: int = 4
    bone_width: int = 2
    hand_joint_radius: int = 4
    face_radius: int = 3


def xinsir_style(height: int, width: int, body: bool = True, hands: bool = True, face: bool = True) -> PoseStyle:
    """Thicker limbs on larger pictures, as xinsir/controlnet-openpose-sdxl-1.0 was trained with."""
    side = max(height, width)
    scale = 1 if side < 500 else min(2 + side // 1000, 7)
    return PoseStyle(body=body, hands=hands, face=face, limb_width=4 * scale)


def draw_poses(poses: Iterable[Pose], height: int, width: int, style: PoseStyle | None = None) -> Tensor:
    """People on black: (height, width, 3) float32 in 0..1.

    Points are fractions of the canvas, so a pose can be drawn at any size.
    """
    style = style or PoseStyle()
    canvas = np.zeros((height, width, 3), np.uint8)
    for pose in poses:
        if style.body:
            _draw_body(canvas, pose.body, style)
        if style.hands:
            _draw_hand(canvas, pose.left_hand, style)
            _draw_hand(canvas, pose.right_hand, style)
        if style.face:
            _draw_face(canvas, pose.face, style)
    return torch.from_numpy(canvas).float() / 255


def draw_frames(frames: Iterable[PoseFrame], style: PoseStyle | None = None) -> Tensor:
    """One picture for each frame, each at its own size: (B, H, W, 3). Raises ValueError where sizes differ."""
    frames = list(frames)
    sizes = {(frame.height, frame.width) for frame in frames}
    if len(sizes) != 1:
        raise ValueError(f"Poses can be drawn as one batch only if their canvases agree; they are {sorted(sizes)}.")
    return torch.stack([draw_poses(frame.poses, frame.height, frame.width, style) for frame in frames])


def _pixel(canvas: np.ndarray, point: Keypoint) -> tuple[int, int]:
    return int(point.x * canvas.shape[1]), int(point.y * canvas.shape[0])


def _get(points: Keypoints, index: int) -> Keypoint | None:
    return points[index] if index < len(points) else None


def _draw_body(canvas: np.ndarray, points: Keypoints, style: PoseStyle) -> None:
    import cv2

    for (start, end), color in zip(LIMBS, COLORS, strict=False):
        first, second = _get(points, start), _get(points, end)
        if first is not None and second is not None:
            shade = [int(channel * _LIMB_SHADE) for channel in color]
            cv2.fillConvexPoly(canvas, _limb(canvas, first, second, style.limb_width), shade)
    for point, color in zip(points, COLORS, strict=False):
        if point is not None:
            cv2.circle(canvas, _pixel(canvas, point), style.joint_radius, color, thickness=-1)


def _limb(canvas: np.ndarray, first: Keypoint, second: Keypoint, half_width: int) -> np.ndarray:
    """The outline of an ellipse from one joint to the other."""
    import cv2

    height, width = canvas.shape[:2]
    x1, y1, x2, y2 = first.x * width, first.y * height, second.x * width, second.y * height
    center = int((x1 + x2) / 2), int((y1 + y2) / 2)
    half_length = int(((x1 - x2) ** 2 + (y1 - y2) ** 2) ** 0.5 / 2)
    angle = int(math.degrees(math.atan2(y1 - y2, x1 - x2)))
    return np.asarray(cv2.ellipse2Poly(center, (half_length, half_width), angle, 0, 360, 1))


def _draw_hand(canvas: np.ndarray, points: Keypoints, style: PoseStyle) -> None:
    import cv2

    for index, (start, end) in enumerate(FINGER_BONES):
        first, second = _get(points, start), _get(points, end)
        if first is not None and second is not None:
            color = [255 * channel for channel in colorsys.hsv_to_rgb(index / len(FINGER_BONES), 1, 1)]
            cv2.line(canvas, _pixel(canvas, first), _pixel(canvas, second), color, style.bone_width)
    for point in points:
        if point is not None:
            cv2.circle(canvas, _pixel(canvas, point), style.hand_joint_radius, (0, 0, 255), thickness=-1)


def _draw_face(canvas: np.ndarray, points: Keypoints, style: PoseStyle) -> None:
    import cv2

    for point in points:
        if point is not None:
            cv2.circle(canvas, _pixel(canvas, point), style.face_radius, (255, 255, 255), thickness=-1)
