"""Animals as the animal OpenPose ControlNet was trained to see them: 17 points of AP-10K, joined by colored lines.

Source: Yu et al., "AP-10K" (arXiv 2108.12617) for the points; the pairs and colors of crishhh/animal_openpose, as its
annotators in sd-webui-controlnet and comfyui_controlnet_aux have them.
"""

import numpy as np

from ..keypoints import Keypoints
from .canvas import pixel, point_of

LIMBS = (
    ((0, 1), (255, 255, 255)),
    ((1, 2), (100, 255, 100)),
    ((0, 2), (150, 255, 255)),
    ((2, 3), (100, 50, 255)),
    ((3, 8), (50, 150, 200)),
    ((8, 9), (0, 255, 255)),
    ((9, 10), (0, 150, 0)),
    ((3, 5), (0, 0, 255)),
    ((5, 6), (0, 0, 150)),
    ((6, 7), (255, 50, 255)),
    ((3, 4), (255, 0, 255)),
    ((4, 14), (255, 0, 0)),
    ((14, 15), (150, 0, 0)),
    ((15, 16), (255, 255, 100)),
    ((4, 11), (0, 150, 0)),
    ((11, 12), (255, 255, 0)),
    ((12, 13), (150, 150, 150)),
)
"""Pairs of points, and the RGB of the line between them, in the order in which they are drawn."""

_WIDTH = 5


def draw_animal(canvas: np.ndarray, points: Keypoints) -> None:
    """One animal; lines with a lost end are left out."""
    import cv2

    for (start, end), color in LIMBS:
        first, second = point_of(points, start), point_of(points, end)
        if first is not None and second is not None:
            cv2.line(canvas, pixel(canvas, first), pixel(canvas, second), color, _WIDTH)
