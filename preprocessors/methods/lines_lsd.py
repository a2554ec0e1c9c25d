"""Straight lines without a network: the Line Segment Detector (Grompone von Gioi et al. 2010) of OpenCV."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..description import ByteFunction, Parameter, Preprocessor, Settings
from ..line_segments import draw_segments, find_segments
from ..pixels import run_in_bytes

if TYPE_CHECKING:
    import numpy as np


def _in_bytes(settings: Settings) -> ByteFunction:
    import cv2

    share = float(settings["minimum_length"])

    def lines(rgb: np.ndarray) -> np.ndarray:
        height, width = rgb.shape[:2]
        segments = find_segments(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), share * min(height, width))
        return draw_segments(segments, height, width)

    return lines


LINES_LSD = Preprocessor(
    id="lines_lsd",
    label="Straight Lines (LSD)",
    hint="lines",
    description="White straight lines on black, found without a network: for M-LSD and Hough ControlNets.",
    run=run_in_bytes(_in_bytes),
    in_bytes=_in_bytes,
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
