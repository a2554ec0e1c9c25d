"""Canny edges: thin white lines where the picture changes abruptly (Canny 1986), as OpenCV computes them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from torch import Tensor

from ..description import ByteFunction, Parameter, Preprocessor, Settings
from ..pixels import map_bytes, run_in_bytes

if TYPE_CHECKING:
    import numpy as np

PYRAMID_SCALES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
LOW_TO_HIGH = 0.4
"""Ratio of the thresholds when they are chosen automatically, MATLAB's `edge`."""


def canny(images: Tensor, low: float, high: float) -> Tensor:
    """Edges of BHWC 0..1 as 0 or 1: aperture 3, L1 gradient, in each pixel the strongest channel.

    This is `cv2.Canny` on the RGB bytes, which ControlNet's v1.0 and v1.1 were trained with.
    """
    return map_bytes(images, edges_between(low, high))


def edges_between(low: float, high: float) -> ByteFunction:
    """The function from RGB bytes to Canny edges, 0 or 255."""
    import cv2

    return lambda rgb: cv2.Canny(rgb, low, high)


def canny_auto(images: Tensor, density: float) -> Tensor:
    """Canny with thresholds from each picture: the share `density` of the pixels lies above the high one."""
    return map_bytes(images, edges_by_density(density))


def edges_by_density(density: float) -> ByteFunction:
    """The function from RGB bytes to Canny edges, 0 or 255, with thresholds as in `automatic_thresholds`."""
    import cv2

    def edges(rgb: np.ndarray) -> np.ndarray:
        low, high = automatic_thresholds(rgb, density)
        return cv2.Canny(rgb, low, high)

    return edges


def automatic_thresholds(rgb: np.ndarray, density: float) -> tuple[float, float]:
    """(low, high) in units of the L1 gradient of HWC uint8; at least (1, 2), so that a flat picture has no edges."""
    import cv2
    import numpy as np

    horizontal = np.abs(cv2.Sobel(rgb, cv2.CV_16S, 1, 0, ksize=3))
    vertical = np.abs(cv2.Sobel(rgb, cv2.CV_16S, 0, 1, ksize=3))
    strongest = (horizontal + vertical).max(axis=2)
    high = max(2.0, float(np.quantile(strongest, 1 - density)))
    return max(1.0, LOW_TO_HIGH * high), high


def pyramid_canny(images: Tensor, low: float, high: float) -> Tensor:
    """Canny at nine scales, blended: strong lines where an edge shows at all of them. Grey values 0..1.

    Each channel has its own edges; coarse scales fade by 0.75 at every step, then the 1st and 99th percentile
    become black and white (Fooocus `extras/preprocessors.py`, `canny_pyramid`).
    """
    return map_bytes(images, lambda rgb: _pyramid(rgb, low, high))


def _pyramid(rgb: np.ndarray, low: float, high: float) -> np.ndarray:
    import cv2
    import numpy as np

    height, width, channels = rgb.shape
    total = np.zeros((height, width), np.float32)
    blended: np.ndarray | None = None
    for scale in PYRAMID_SCALES:
        size = (max(1, int(width * scale)), max(1, int(height * scale)))
        small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        planes = [cv2.Canny(np.ascontiguousarray(small[..., c]), low, high) for c in range(channels)]
        edges = np.stack(planes, axis=2).astype(np.float32) / 255
        if blended is not None:
            coarse = cv2.resize(blended, size, interpolation=cv2.INTER_LINEAR)
            edges = coarse * 0.75 + edges * 0.25
        blended = edges
        total = edges.sum(axis=2)
    black, white = np.percentile(total, (1, 99))
    if white <= black:
        return np.clip(total, 0, 1)
    return np.clip((total - black) / (white - black), 0, 1).astype(np.float32)


def _threshold(name: str, default: int, tooltip: str) -> Parameter:
    label = name.replace("_", " ").capitalize()
    return Parameter(name, label, default, tooltip, minimum=0, maximum=255, step=1)


LOW = "A line goes on while the change stays above this. Lower: longer lines and more of them."
HIGH = "A line starts where the change is above this. Lower: more lines; higher: only the strongest."


def _canny_in_bytes(settings: Settings) -> ByteFunction:
    return edges_between(float(settings["low_threshold"]), float(settings["high_threshold"]))


def _auto_in_bytes(settings: Settings) -> ByteFunction:
    return edges_by_density(float(settings["density"]))


def _pyramid_in_bytes(settings: Settings) -> ByteFunction:
    return partial(_pyramid, low=float(settings["low_threshold"]), high=float(settings["high_threshold"]))


CANNY = Preprocessor(
    id="canny",
    label="Canny Edges",
    hint="edges",
    description="Thin white edges on black, equal to the maps that Canny ControlNets were trained with.",
    run=run_in_bytes(_canny_in_bytes),
    in_bytes=_canny_in_bytes,
    parameters=(_threshold("low_threshold", 100, LOW), _threshold("high_threshold", 200, HIGH)),
    has_result_size=False,
    aliases=("edge detection", "CannyEdgePreprocessor"),
)

CANNY_AUTO = Preprocessor(
    id="canny_auto",
    label="Canny Edges, Automatic",
    hint="edges",
    description="Thin white edges on black, with thresholds that fit each picture's own contrast.",
    run=run_in_bytes(_auto_in_bytes),
    in_bytes=_auto_in_bytes,
    parameters=(
        Parameter(
            "density",
            "Density",
            0.15,
            "Share of the pixels that count as strong change. More gives more lines.",
            minimum=0.01,
            maximum=0.9,
            step=0.01,
        ),
    ),
    aliases=("auto canny", "adaptive canny"),
)

CANNY_PYRAMID = Preprocessor(
    id="canny_pyramid",
    label="Canny Edges, Pyramid",
    hint="edges",
    description="Canny at nine scales in one grey map, white where an edge shows at many: for Control-LoRA Canny.",
    run=run_in_bytes(_pyramid_in_bytes),
    in_bytes=_pyramid_in_bytes,
    parameters=(_threshold("low_threshold", 64, LOW), _threshold("high_threshold", 128, HIGH)),
    aliases=("pyracanny", "PyraCannyPreprocessor", "CPDS"),
)
