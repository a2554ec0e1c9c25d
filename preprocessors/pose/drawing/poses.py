"""Poses as pictures: people and animals on black, each in the style that a ControlNet was trained with."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..keypoints import Pose, PoseFrame
from .animal import draw_animal
from .body_25 import draw_body_25
from .canvas import PoseStyle, Skeleton
from .coco_wholebody import draw_coco_wholebody
from .face_mesh import draw_face_mesh
from .openpose import draw_openpose, draw_openpose_feet

_DRAWINGS: Mapping[Skeleton, Callable[[np.ndarray, Pose, PoseStyle], None]] = {
    "openpose": draw_openpose,
    "openpose_feet": draw_openpose_feet,
    "body_25": draw_body_25,
    "coco_wholebody": draw_coco_wholebody,
}


def draw_poses(poses: Iterable[Pose], height: int, width: int, style: PoseStyle | None = None) -> Tensor:
    """People and animals on black: (height, width, 3) float32 in 0..1.

    Points are fractions of the canvas, so a pose can be drawn at any size. A face mesh is drawn in place of the dots.
    """
    style = style or PoseStyle()
    canvas = np.zeros((height, width, 3), np.uint8)
    for pose in poses:
        person = replace(pose, face=()) if pose.face_mesh else pose
        _DRAWINGS[style.skeleton](canvas, person, style)
        if style.face:
            draw_face_mesh(canvas, pose.face_mesh)
        if style.body:
            draw_animal(canvas, pose.animal)
    return torch.from_numpy(canvas).float() / 255


def draw_frames(frames: Iterable[PoseFrame], style: PoseStyle | None = None) -> Tensor:
    """One picture for each frame, each at its own size: (B, H, W, 3). Raises ValueError where sizes differ."""
    frames = list(frames)
    sizes = {(frame.height, frame.width) for frame in frames}
    if len(sizes) != 1:
        raise ValueError(f"Poses can be drawn as one batch only if their canvases agree; they are {sorted(sizes)}.")
    return torch.stack([draw_poses(frame.poses, frame.height, frame.width, style) for frame in frames])
