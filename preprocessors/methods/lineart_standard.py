"""Line drawing without a network: what is darker than its surroundings, with the contrast evened out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from ..description import Hint, Inputs, Parameter, Preprocessor
from ..pixels import map_arrays

if TYPE_CHECKING:
    import numpy as np

WEAKEST_INK = 16.0
"""Grey levels; a picture whose lines are fainter than this is not stretched further."""


def lineart_standard(images: Tensor, sigma: float, intensity_threshold: float) -> Tensor:
    """White lines on black, grey values 0..1.

    sigma: of the surroundings in pixels. intensity_threshold: in grey levels, what counts for the typical darkness
    of ink. Source: sd-webui-controlnet `processor.py`, `lineart_standard`.
    """
    return map_arrays(images.float() * 255, lambda rgb: _lines(rgb, sigma, intensity_threshold))


def _lines(rgb: np.ndarray, sigma: float, intensity_threshold: float) -> np.ndarray:
    import cv2
    import numpy as np

    surroundings = cv2.GaussianBlur(rgb, (0, 0), sigma)
    ink = np.clip((surroundings - rgb).min(axis=2), 0, 255)
    counted = ink[ink > intensity_threshold]
    typical = max(WEAKEST_INK, float(np.median(counted))) if counted.size else WEAKEST_INK
    return np.clip(ink / typical * (127 / 255), 0, 1).astype(np.float32)


def _run(inputs: Inputs) -> Hint:
    return Hint(lineart_standard(inputs.images, inputs.number("sigma"), inputs.number("intensity_threshold")))


LINEART_STANDARD = Preprocessor(
    id="lineart_standard",
    label="Line Art, Standard",
    hint="line drawing",
    description="White lines on black from a drawing or photograph, without a network.",
    run=_run,
    parameters=(
        Parameter(
            "sigma",
            "Sigma",
            6.0,
            "How far around a pixel it is compared with. Larger finds broader lines.",
            minimum=0.1,
            maximum=100.0,
            step=0.1,
            unit="pixels",
        ),
        Parameter(
            "intensity_threshold",
            "Intensity threshold",
            8,
            "Fainter ink does not count when the contrast is set. Higher gives fainter lines.",
            minimum=0,
            maximum=16,
            step=1,
        ),
    ),
    aliases=("LineartStandardPreprocessor", "invert"),
)
