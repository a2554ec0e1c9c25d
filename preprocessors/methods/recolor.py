"""Hints of recolor ControlNets: the picture without its colors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from ..description import Hint, Inputs, Parameter, Preprocessor
from ..pixels import map_floats

if TYPE_CHECKING:
    import numpy as np

LUMINANCE_OF_WHITE = 100.0
"""L of CIELAB runs from 0 to 100."""


def luminance(images: Tensor, gamma: float, swap_red_and_blue: bool = False) -> Tensor:
    """Perceived lightness (L of CIELAB) to the power `gamma`: BHWC 0..1, three equal channels.

    swap_red_and_blue: as sd-webui-controlnet does, which takes RGB for BGR (`processor.py`, `recolor_luminance`).
    """
    import cv2

    code = cv2.COLOR_BGR2LAB if swap_red_and_blue else cv2.COLOR_RGB2LAB

    def lightness(rgb: np.ndarray) -> np.ndarray:
        return (cv2.cvtColor(rgb, code)[..., 0] / LUMINANCE_OF_WHITE).clip(0, 1) ** gamma

    return map_floats(images, lightness)


def intensity(images: Tensor, gamma: float) -> Tensor:
    """The brightest channel (V of HSV) to the power `gamma`: BHWC 0..1, three equal channels."""
    return images.amax(dim=-1, keepdim=True).pow(gamma).expand(*images.shape)


def _run_luminance(inputs: Inputs) -> Hint:
    return Hint(luminance(inputs.images, inputs.number("gamma"), inputs.switch("reference_behavior")))


def _run_intensity(inputs: Inputs) -> Hint:
    return Hint(intensity(inputs.images, inputs.number("gamma")))


GAMMA = Parameter("gamma", "Gamma", 1.0, "Below 1 brightens, above 1 darkens.", minimum=0.1, maximum=2.0, step=0.01)

RECOLOR_LUMINANCE = Preprocessor(
    id="recolor_luminance",
    label="Recolor Luminance",
    hint="other",
    description="Grey by perceived lightness, for recolor ControlNets.",
    run=_run_luminance,
    parameters=(
        GAMMA,
        Parameter(
            "reference_behavior",
            "Reference behavior",
            False,
            "Swap red and blue first, as the tool did that the recolor ControlNets were made with.",
        ),
    ),
    aliases=("ImageLuminanceDetector", "colorize", "grayscale"),
)

RECOLOR_INTENSITY = Preprocessor(
    id="recolor_intensity",
    label="Recolor Intensity",
    hint="other",
    description="Grey by the brightest channel, for recolor ControlNets.",
    run=_run_intensity,
    parameters=(GAMMA,),
    aliases=("ImageIntensityDetector", "colorize", "grayscale"),
)
