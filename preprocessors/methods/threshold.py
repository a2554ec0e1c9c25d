"""Black and white by a threshold, and the negative of a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from ..description import ByteFunction, Hint, Inputs, Parameter, Preprocessor, Settings
from ..pixels import map_bytes, run_in_bytes

if TYPE_CHECKING:
    import numpy as np

DARKEST, LUMA, OTSU = "darkest channel", "luma", "automatic (Otsu)"


def binarize(images: Tensor, threshold: float, measure: str) -> Tensor:
    """1 where the picture, BHWC 0..1, is brighter than threshold / 255, else 0. measure: as in `brighter_than`."""
    return map_bytes(images, brighter_than(threshold, measure))


def brighter_than(threshold: float, measure: str) -> ByteFunction:
    """The function from RGB bytes to 255 where they are brighter than the threshold, else 0.

    measure: `DARKEST` (sd-webui `threshold`: all channels must be brighter), `LUMA` (Rec. 601 grey),
    or `OTSU` (grey, the threshold from the histogram, Otsu 1979).
    """
    import cv2

    def bright(rgb: np.ndarray) -> np.ndarray:
        if measure == DARKEST:
            return cv2.threshold(rgb.min(axis=2), threshold, 255, cv2.THRESH_BINARY)[1]
        kind = cv2.THRESH_BINARY | (cv2.THRESH_OTSU if measure == OTSU else 0)
        return cv2.threshold(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), threshold, 255, kind)[1]

    return bright


def _threshold_in_bytes(settings: Settings) -> ByteFunction:
    return brighter_than(float(settings["threshold"]), str(settings["measure"]))


def _run_invert(inputs: Inputs) -> Hint:
    return Hint(1 - inputs.images)


THRESHOLD = Preprocessor(
    id="threshold",
    label="Threshold",
    hint="scribble",
    description="White where the picture is bright, black elsewhere.",
    run=run_in_bytes(_threshold_in_bytes),
    in_bytes=_threshold_in_bytes,
    parameters=(
        Parameter("threshold", "Threshold", 127, "Brighter than this becomes white.", minimum=0, maximum=255, step=1),
        Parameter(
            "measure",
            "Measure",
            DARKEST,
            "What is compared: the darkest of the three channels, the grey value, or Otsu's own choice of threshold.",
            choices=(DARKEST, LUMA, OTSU),
        ),
    ),
    aliases=("binary", "BinaryPreprocessor", "otsu"),
)

INVERT = Preprocessor(
    id="invert",
    label="Invert",
    hint="line drawing",
    description="The negative: black lines on white become the white lines on black that line ControlNets expect.",
    run=_run_invert,
    aliases=("negative", "lineart from white background"),
)
