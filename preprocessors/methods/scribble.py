"""Scribbles without a network: from a drawing on paper, and from a photograph by difference of Gaussians."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from ..description import Hint, Inputs, Parameter, Preprocessor
from ..pixels import map_arrays

if TYPE_CHECKING:
    import numpy as np

SHARP_SIGMA, SOFT_SIGMA = 0.5, 5.0
"""Pixels; the two blurs of XDoG (ControlNet v1.1 `gradio_scribble_interactive`, sd-webui `scribble_xdog`)."""


def scribble_from_drawing(images: Tensor, threshold: float) -> Tensor:
    """Dark ink on white paper -> white strokes on black, 0 or 1: ink is where the darkest channel < threshold / 255.

    ControlNet v1.0 `gradio_scribble2image.py`.
    """
    darkest = images.amin(dim=-1, keepdim=True).mul(255).round_()
    return (darkest < threshold).float().expand(*images.shape)


def xdog(images: Tensor, threshold: float) -> Tensor:
    """Strokes where every channel is darker than its surroundings: white on black, 0 or 1.

    The reference doubles the contrast in 8 bits, where 128 wraps around to 0 and the strongest lines drop out;
    here they stay.
    """
    return map_arrays(images.float() * 255, lambda rgb: _xdog(rgb, threshold))


def _xdog(rgb: np.ndarray, threshold: float) -> np.ndarray:
    import cv2
    import numpy as np

    sharp = cv2.GaussianBlur(rgb, (0, 0), SHARP_SIGMA)
    soft = cv2.GaussianBlur(rgb, (0, 0), SOFT_SIGMA)
    darker = np.ceil(np.clip((soft - sharp).min(axis=2), 0, 255))
    return (2 * darker > threshold).astype(np.float32)


def _run_drawing(inputs: Inputs) -> Hint:
    return Hint(scribble_from_drawing(inputs.images, inputs.number("threshold")))


def _run_xdog(inputs: Inputs) -> Hint:
    return Hint(xdog(inputs.images, inputs.number("threshold")))


SCRIBBLE = Preprocessor(
    id="scribble",
    label="Scribble from Drawing",
    hint="scribble",
    description="Turns a drawing in dark ink on white paper into white strokes on black.",
    run=_run_drawing,
    parameters=(
        Parameter("threshold", "Threshold", 127, "Darker than this counts as ink.", minimum=0, maximum=255, step=1),
    ),
    aliases=("sketch", "ScribblePreprocessor", "user scribble"),
)

SCRIBBLE_XDOG = Preprocessor(
    id="scribble_xdog",
    label="Scribble XDoG",
    hint="scribble",
    description="White strokes on black from a photograph, without a network: where it is darker than around.",
    run=_run_xdog,
    parameters=(
        Parameter(
            "threshold",
            "Threshold",
            32,
            "How much darker than around a stroke must be. Lower gives more strokes.",
            minimum=1,
            maximum=64,
            step=1,
        ),
    ),
    aliases=("Scribble_XDoG_Preprocessor", "difference of gaussians"),
)
