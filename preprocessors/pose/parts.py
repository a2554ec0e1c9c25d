"""Where a body's hands and face are, and the points in the maps of their networks.

Sources: OpenPose's handDetector.cpp; ControlNet v1.1's annotator for the face and for the reading of hand maps.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .assembly import refine
from .keypoints import (
    FACE_POINTS,
    HAND_POINTS,
    LEFT_EAR,
    LEFT_ELBOW,
    LEFT_EYE,
    LEFT_SHOULDER,
    LEFT_WRIST,
    NOSE,
    RIGHT_EAR,
    RIGHT_ELBOW,
    RIGHT_EYE,
    RIGHT_SHOULDER,
    RIGHT_WRIST,
    Keypoint,
    Keypoints,
)

_WRIST_TO_HAND = 0.33
_SMALLEST = 20
_THRESHOLD = 0.05
_HAND_SMOOTHING = 3.0


@dataclass(frozen=True)
class Square:
    """A square of the picture, in pixels."""

    left: int
    top: int
    side: int

    def crop(self, image: np.ndarray) -> np.ndarray:
        return image[self.top : self.top + self.side, self.left : self.left + self.side]


def hand_square(body: Keypoints, left: bool, height: int, width: int) -> Square | None:
    """The square around a hand, from wrist, elbow and shoulder; None where one of them is missing or it is tiny."""
    names = (LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST) if left else (RIGHT_SHOULDER, RIGHT_ELBOW, RIGHT_WRIST)
    joints = [body[name] for name in names]
    if any(joint is None for joint in joints):
        return None
    shoulder, elbow, wrist = (np.array([joint.x * width, joint.y * height]) for joint in joints if joint is not None)
    side = 1.5 * max(math.dist(wrist, elbow), 0.9 * math.dist(elbow, shoulder))
    return _inside(wrist + _WRIST_TO_HAND * (wrist - elbow), side, height, width)


def face_square(body: Keypoints, height: int, width: int) -> Square | None:
    """The square around a face, from the nose and how far eyes and ears are from it; None where it cannot be told."""
    nose = body[NOSE]
    if nose is None:
        return None
    half = 0.0
    for name, factor in ((RIGHT_EYE, 3.0), (LEFT_EYE, 3.0), (RIGHT_EAR, 1.5), (LEFT_EAR, 1.5)):
        point = body[name]
        if point is not None:
            half = max(half, factor * max(abs(point.x - nose.x) * width, abs(point.y - nose.y) * height))
    return _inside(np.array([nose.x * width, nose.y * height]), 2 * half, height, width)


def _inside(center: np.ndarray, side: float, height: int, width: int) -> Square | None:
    """The square moved into the picture, and no larger than it; moved, where the annotator cuts it, so that it stays
    a square with the whole hand or face in it."""
    side = min(side, height, width)
    if side < _SMALLEST:
        return None
    left, top = (int(value) for value in np.maximum(center - side / 2, 0))
    pixels = int(side)
    return Square(min(left, width - pixels), min(top, height - pixels), pixels)


def hand_keypoints(maps: Tensor, square: Square, height: int, width: int) -> Keypoints:
    """The 21 points of a hand: in each map (22, h, w) the peak of its heaviest blob.

    A point whose smoothed map stays below 0.05 is None.
    """
    import cv2

    points: list[Keypoint | None] = []
    for heat in maps[:HAND_POINTS].float().cpu():
        values = heat.numpy()
        smooth = cv2.GaussianBlur(values, (0, 0), _HAND_SMOOTHING)
        count, labels = cv2.connectedComponents((smooth > _THRESHOLD).astype(np.uint8), connectivity=8)
        if count < 2:
            points.append(None)
            continue
        mass = np.bincount(labels.ravel(), weights=values.ravel(), minlength=count)
        heaviest = int(mass[1:].argmax()) + 1
        blob = np.where(labels == heaviest, values, -np.inf)
        row, column = np.unravel_index(int(blob.argmax()), blob.shape)
        points.append(_place(heat, int(row), int(column), square, (height, width)))
    return tuple(points)


def face_keypoints(maps: Tensor, square: Square, height: int, width: int) -> Keypoints:
    """The 70 points of a face, in their places: the peak of each map of (71, h, w), None where it is below 0.05.

    The annotator leaves lost points out of the list, so that later ones move up, and draws the background map's peak.
    """
    points: list[Keypoint | None] = []
    for heat in maps[:FACE_POINTS].float().cpu():
        row, column = divmod(int(heat.argmax()), heat.shape[1])
        found = float(heat[row, column]) > _THRESHOLD
        points.append(_place(heat, row, column, square, (height, width)) if found else None)
    return tuple(points)


def _place(heat: Tensor, row: int, column: int, square: Square, size: tuple[int, int]) -> Keypoint:
    """A peak of a map that covers `square`, as a point of the picture."""
    height, width = size
    x, y = refine(heat, torch.tensor([row]), torch.tensor([column]))[0].tolist()
    cells_high, cells_wide = heat.shape
    return Keypoint(
        (square.left + (x + 0.5) / cells_wide * square.side) / width,
        (square.top + (y + 0.5) / cells_high * square.side) / height,
        min(float(heat[row, column]), 1.0),
    )
