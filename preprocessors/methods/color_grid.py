"""A grid of plain colour blocks: where which colour is, for colour adapters and ControlNets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from ..description import Hint, Inputs, Parameter, Preprocessor
from ..pixels import map_floats

if TYPE_CHECKING:
    import numpy as np


def color_grid(images: Tensor, block: int, sample_cubic: bool = False) -> Tensor:
    """BHWC 0..1 in blocks of about `block` pixels, each of its average colour.

    sample_cubic: take each colour from a few pixels at the block's centre instead, as T2I-Adapter's
    `t2ia_color_grid` does; fine texture then gives random colours.
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
    return Hint(color_grid(inputs.images, inputs.whole_number("block"), inputs.switch("reference_behaviour")))


COLOR_GRID = Preprocessor(
    id="color_grid",
    label="Color Grid",
    hint="other",
    description="Blocks of plain colour, which tell a colour adapter where which colour belongs.",
    run=_run,
    parameters=(
        Parameter("block", "Block", 64, "Side of a block.", minimum=8, maximum=512, step=8, unit="pixels"),
        Parameter(
            "reference_behaviour",
            "Reference behaviour",
            False,
            "Take each colour from a few pixels, as the T2I colour adapter's training did, instead of the average.",
        ),
    ),
    aliases=("ColorPreprocessor", "t2ia_color_grid", "palette", "pixelate"),
)
