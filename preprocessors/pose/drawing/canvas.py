"""The style of a drawing, and the place of a point on a canvas."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ..keypoints import Keypoint, Keypoints

Skeleton = Literal["openpose", "openpose_feet", "body_25", "coco_wholebody"]
SKELETONS: tuple[Skeleton, ...] = get_args(Skeleton)


@dataclass(frozen=True)
class PoseStyle:
    """The parts that are drawn, and their thickness in pixels; by default as the OpenPose ControlNets were trained.

    skeleton: which points of a body are joined, and in which colors. limb_width: half the width of a body limb; that of
    the skeleton body_25 follows from the size of the person.
    """

    body: bool = True
    hands: bool = True
    face: bool = True
    limb_width: int = 4
    joint_radius: int = 4
    bone_width: int = 2
    hand_joint_radius: int = 4
    face_radius: int = 3
    skeleton: Skeleton = "openpose"


def xinsir_style(height: int, width: int, body: bool = True, hands: bool = True, face: bool = True) -> PoseStyle:
    """Thicker limbs on larger pictures, as xinsir/controlnet-openpose-sdxl-1.0 was trained with."""
    side = max(height, width)
    scale = 1 if side < 500 else min(2 + side // 1000, 7)
    return PoseStyle(body=body, hands=hands, face=face, limb_width=4 * scale)


def pixel(canvas: np.ndarray, point: Keypoint) -> tuple[int, int]:
    """Column and row of the pixel in which a point lies."""
    return int(point.x * canvas.shape[1]), int(point.y * canvas.shape[0])


def point_of(points: Keypoints, index: int) -> Keypoint | None:
    """One point of a part; None where the part is shorter."""
    return points[index] if index < len(points) else None
