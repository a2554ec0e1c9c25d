"""Faces as the contours of MediaPipe's mesh, in the colors that control_mediapipe_face was trained with.

Source: face_mesh_connections.py of google-ai-edge/mediapipe for the contours; the annotator of
CrucibleAI/ControlNetMediaPipeFace for colors, widths and pupils. "Left" is the person's.
"""

from itertools import pairwise

import numpy as np

from ..keypoints import Keypoint, Keypoints

OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150,
    136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109, 10,
)  # fmt: skip
LEFT_EYE = ((263, 249, 390, 373, 374, 380, 381, 382, 362), (263, 466, 388, 387, 386, 385, 384, 398, 362))
RIGHT_EYE = ((33, 7, 163, 144, 145, 153, 154, 155, 133), (33, 246, 161, 160, 159, 158, 157, 173, 133))
LEFT_BROW = ((276, 283, 282, 295, 285), (300, 293, 334, 296, 336))
RIGHT_BROW = ((46, 53, 52, 65, 55), (70, 63, 105, 66, 107))
LIPS = (
    (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291),
    (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291),
    (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308),
    (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308),
)

CONTOURS = (
    ((OVAL,), (10, 200, 10)),
    (LEFT_EYE, (10, 200, 180)),
    (LEFT_BROW, (10, 220, 180)),
    (RIGHT_EYE, (180, 200, 10)),
    (RIGHT_BROW, (180, 220, 10)),
    (LIPS, (10, 180, 10)),
)
"""Lines through points of the mesh, and their RGB, in the order in which they are drawn."""

RIGHT_PUPIL, LEFT_PUPIL = 468, 473
"""The first of the five points of each iris, behind the 468 of the mesh."""
_PUPILS = ((RIGHT_PUPIL, (250, 200, 10)), (LEFT_PUPIL, (10, 200, 250)))

_WIDTH = 2
_HALF_PUPIL = 2


def draw_face_mesh(canvas: np.ndarray, points: Keypoints) -> None:
    """One face; what lies outside of the picture is left out."""
    import cv2

    places = {index: _inside(canvas, point) for index, point in enumerate(points)}
    for lines, color in CONTOURS:
        for line in lines:
            for start, end in pairwise(line):
                first, second = places.get(start), places.get(end)
                if first is not None and second is not None:
                    cv2.line(canvas, first, second, color, _WIDTH)
    for index, color in _PUPILS:
        place = places.get(index)
        if place is not None:
            rows, columns = (slice(max(0, at - _HALF_PUPIL), at + _HALF_PUPIL) for at in reversed(place))
            canvas[rows, columns] = color


def _inside(canvas: np.ndarray, point: Keypoint | None) -> tuple[int, int] | None:
    """Column and row of a point within the picture; those on its far edges are in the last pixel."""
    if point is None or not (0 <= point.x <= 1 and 0 <= point.y <= 1):
        return None
    height, width = canvas.shape[:2]
    return min(int(point.x * width), width - 1), min(int(point.y * height), height - 1)
