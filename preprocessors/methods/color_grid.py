"""A grid of plain color blocks: where which color is, for color adapters and ControlNets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from ..description import Hint, Inputs, Parameter, Preprocessor
from ..pixels import map_floats

if TYPE_CHECKING:
    import numpy as np


def color_grid(images: Tensor, block: int, sample_cubic: bool = False) -> Tensor:
    """BHWC 0..1 in blocks of about `block` pixels, each of its average color.

    sample_cubic: take each color from a few pixels at the block's center instead, as T2I-Adapter's
    `t2ia_color_grid` does; fine texture then gives random colors.
    """
    import cv2
    import numpy as np

    down = cv2.INTER_CUBIC if sample_cubic else cv2.INTER_AREA

    def blocks(rgb: np.ndarray) -> np.ndarray:
        height, width = rgb.shape[:2]
        small = cv2.resize(rgb, (max(1, width // block), max(1, height // block)), interpolation=down)
        return cv2.resize(np.clip(small, 0, 1), (width, height), interpolation=cv2.INTER_NEAREST)

    return map_floats(images, blocks)


def _run(inputs: Inputs) -> Hint:
    return Hint(color_grid(inputs.images, inputs.whole_number("block"), inputs.switch("reference_behavior")))


COLOR_GRID = Preprocessor(
    id="color_grid",
    label="Color Grid",
    hint="other",
    description="Blocks of plain color, which tell a color adapter where which color belongs.",
    run=_run,
    parameters=(
        Parameter("block", "Block", 64, "Side of a block.", minimum=8, maximum=512, step=8, unit="pixels"),
        Parameter(
            "reference_behavior",
            "Reference behavior",
            False,
            "Take each color from a few pixels, as the T2I color adapter's training did, instead of the average.",
        ),
    ),
    aliases=("ColorPreprocessor", "t2ia_color_grid", "palette", "pixelate"),
)
