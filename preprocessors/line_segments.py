"""Straight line segments: found by OpenCV's Line Segment Detector, and drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def find_segments(grey: np.ndarray, minimum_length: float) -> np.ndarray:
    """Segments of HW uint8: (N, 4) float32 of x0, y0, x1, y1 in pixels, at least `minimum_length` long."""
    import cv2
    import numpy as np

    found = cv2.createLineSegmentDetector().detect(grey)[0]
    if found is None:
        return np.zeros((0, 4), np.float32)
    segments = found.reshape(-1, 4)
    lengths = np.hypot(segments[:, 2] - segments[:, 0], segments[:, 3] - segments[:, 1])
    return segments[lengths >= minimum_length]


def draw_segments(segments: np.ndarray, height: int, width: int) -> np.ndarray:
    """White lines, one pixel wide, on black: HW uint8."""
    import cv2
    import numpy as np

    canvas = np.zeros((height, width), np.uint8)
    for x0, y0, x1, y1 in np.rint(segments).astype(int).tolist():
        cv2.line(canvas, (x0, y0), (x1, y1), 255, 1)
    return canvas
