"""Hints for tile and blur ControlNets: the same picture with its fine detail taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from ..description import Hint, Inputs, Parameter, Preprocessor
from ..pixels import map_bytes, map_floats

if TYPE_CHECKING:
    import numpy as np


def resample(images: Tensor, rate: float) -> Tensor:
    """Shrink BHWC by `rate` (1 is the picture itself) and enlarge it again to its size."""
    return map_floats(images, lambda rgb: _resample(rgb, rate))


def blur(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur; sigma in pixels."""
    import cv2

    return map_floats(images, lambda rgb: cv2.GaussianBlur(rgb, (0, 0), sigma))


def pyramid(images: Tensor, levels: int) -> Tensor:
    """Halve BHWC 0..1 so many times and double it again, each time smoothed: its sides become multiples of 64.

    comfyui_controlnet_aux `TileDetector`; there as here, a picture is at least a pixel at its smallest.
    """
    return map_bytes(images, lambda rgb: _pyramid(rgb, levels))


def resample_then_blur(images: Tensor, rate: float, strength: float) -> Tensor:
    """Shrink BHWC 0..1 by `rate`, enlarge it again and blur it. strength: pixels of the blur's window, 1 to 10.

    TTPlanet `TTP_tile_preprocessor_v5`: the window is odd, sigma half of the strength.
    """
    return map_bytes(images, lambda rgb: _resampled_and_blurred(rgb, rate, strength))


def guided_filter(image: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """Smooth HWC 0..1 while edges stay: the guided filter (He et al. 2010, eq. 14-16) with the picture as its guide.

    With S the covariance of a square of 2 radius + 1 pixels, the filter's matrix is
    (S + epsilon)^-1 S = 1 - epsilon (S + epsilon)^-1.
    """
    import cv2
    import numpy as np

    window = (2 * radius + 1, 2 * radius + 1)
    mean = cv2.blur(image, window)
    pairs = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    covariance = {
        (i, j): cv2.blur(image[..., i] * image[..., j], window) - mean[..., i] * mean[..., j] for i, j in pairs
    }
    for i in range(3):
        covariance[i, i] += epsilon
    inverse = _symmetric_inverse(covariance)
    smooth = np.empty_like(image)
    for i in range(3):
        row = [-epsilon * inverse[min(i, j), max(i, j)] + (i == j) for j in range(3)]
        offset = mean[..., i] - sum(row[j] * mean[..., j] for j in range(3))
        smooth[..., i] = cv2.blur(offset, window) + sum(cv2.blur(row[j], window) * image[..., j] for j in range(3))
    return np.clip(smooth, 0, 1)


def _symmetric_inverse(s: dict[tuple[int, int], np.ndarray]) -> dict[tuple[int, int], np.ndarray]:
    """Inverse of a symmetric 3x3 matrix in every pixel, by its adjugate; keys (row, column) of the upper half."""
    adjugate = {
        (0, 0): s[1, 1] * s[2, 2] - s[1, 2] ** 2,
        (0, 1): s[0, 2] * s[1, 2] - s[0, 1] * s[2, 2],
        (0, 2): s[0, 1] * s[1, 2] - s[0, 2] * s[1, 1],
        (1, 1): s[0, 0] * s[2, 2] - s[0, 2] ** 2,
        (1, 2): s[0, 1] * s[0, 2] - s[0, 0] * s[1, 2],
        (2, 2): s[0, 0] * s[1, 1] - s[0, 1] ** 2,
    }
    determinant = sum(s[0, j] * adjugate[0, j] for j in range(3))
    return {key: value / determinant for key, value in adjugate.items()}


def _resample(rgb: np.ndarray, rate: float) -> np.ndarray:
    import cv2
    import numpy as np

    height, width = rgb.shape[:2]
    small = (max(1, round(width / rate)), max(1, round(height / rate)))
    if small == (width, height):
        return rgb
    shrunk = cv2.resize(rgb, small, interpolation=cv2.INTER_AREA)
    return np.clip(cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1)


def _pyramid(rgb: np.ndarray, levels: int) -> np.ndarray:
    import cv2

    height, width = (max(1, round(side / 64)) * 64 // 2**levels or 1 for side in rgb.shape[:2])
    picture = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
    for _ in range(levels):
        picture = cv2.pyrUp(picture)
    return picture


def _resampled_and_blurred(rgb: np.ndarray, rate: float, strength: float) -> np.ndarray:
    import cv2

    height, width = rgb.shape[:2]
    small = (max(1, int(width / rate)), max(1, int(height / rate)))
    shrunk = cv2.resize(rgb, small, interpolation=cv2.INTER_AREA)
    window = int(strength) | 1
    enlarged = cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LANCZOS4)
    return cv2.GaussianBlur(enlarged, (window, window), strength / 2)


def _run_resample(inputs: Inputs) -> Hint:
    return Hint(resample(inputs.images, inputs.number("rate")))


def _run_blur(inputs: Inputs) -> Hint:
    return Hint(blur(inputs.images, inputs.number("sigma")))


def _run_guided(inputs: Inputs) -> Hint:
    strength, rate = inputs.number("blur"), inputs.number("rate")
    radius, epsilon = inputs.whole_number("radius"), inputs.number("epsilon")
    softened = blur(inputs.images, strength / 2)
    return Hint(map_floats(softened, lambda rgb: _resample(guided_filter(rgb, radius, epsilon), rate)))


RATE = Parameter(
    "rate",
    "Down rate",
    1.0,
    "The picture is made this many times smaller and enlarged again. 1 leaves it as it is.",
    minimum=1.0,
    maximum=8.0,
    step=0.05,
)

TILE_RESAMPLE = Preprocessor(
    id="tile_resample",
    label="Tile Resample",
    hint="other",
    description="The picture with less detail, for tile ControlNets that add new detail.",
    run=_run_resample,
    parameters=(RATE,),
    aliases=("tile", "TilePreprocessor", "upscale", "detail"),
)

TILE_BLUR = Preprocessor(
    id="tile_blur",
    label="Tile Blur",
    hint="other",
    description="The picture blurred, for blur and tile ControlNets.",
    run=_run_blur,
    parameters=(
        Parameter("sigma", "Sigma", 9.0, "Strength of the blur.", minimum=0.01, maximum=64.0, step=0.01, unit="pixels"),
    ),
    aliases=("blur_gaussian", "deblur", "gaussian blur"),
)

TILE_GUIDED = Preprocessor(
    id="tile_guided_filter",
    label="Tile Guided Filter",
    hint="other",
    description="The picture smoothed while its edges stay, for the TTPlanet SDXL tile ControlNet.",
    run=_run_guided,
    parameters=(
        RATE,
        Parameter(
            "blur", "Blur", 2.0, "Softening before the filter.", minimum=1.0, maximum=10.0, step=0.1, unit="pixels"
        ),
        Parameter("radius", "Radius", 7, "How far the filter smooths.", minimum=1, maximum=20, step=1, unit="pixels"),
        Parameter(
            "epsilon",
            "Epsilon",
            0.01,
            "Contrast below which detail is smoothed away. Larger smooths more.",
            minimum=0.001,
            maximum=0.1,
            step=0.001,
        ),
    ),
    aliases=("TTPlanet_TileGF_Preprocessor", "guided filter"),
)
