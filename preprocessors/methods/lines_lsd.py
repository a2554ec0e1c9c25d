"""Straight lines without a network: the Line Segment Detector (Grompone von Gioi et al. 2010) of OpenCV."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from ..description import Networks, Parameter, Preprocessor, Settings
from ..pixels import map_bytes

if TYPE_CHECKING:
    import numpy as np


def line_segments(grey: np.ndarray, minimum_length: float) -> np.ndarray:
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


def _run(images: Tensor, settings: Settings, networks: Networks) -> Tensor:
    import cv2

    share = float(settings["minimum_length"])

    def lines(rgb: np.ndarray) -> np.ndarray:
        height, width = rgb.shape[:2]
        segments = line_segments(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), share * min(height, width))
        return draw_segments(segments, height, width)

    return map_bytes(images, lines)


LINES_LSD = Preprocessor(
    id="lines_lsd",
    label="Straight Lines (LSD)",
    hint="lines",
    description="White straight lines on black, found without a network: for M-LSD and Hough ControlNets.",
    run=_run,
    parameters=(
        Parameter(
            "minimum_length",
            "Minimum length",
            0.04,
            "Shorter lines are left out, as a fraction of the shorter side.",
            minimum=0.0,
            maximum=1.0,
            step=0.005,
        ),
    ),
    aliases=("hough", "mlsd", "line segment detector"),
)
