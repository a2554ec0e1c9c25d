"""AnyLine: fine edges by MTEED over a line drawing freed of specks (TheMistoAI, for MistoLine)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from torch import Tensor

from .. import sizes
from ..description import Hint, Inputs, Networks, Parameter, Preprocessor
from ..line_maps import SAFE_STEPS, soft_edges, three_channels
from ..pixels import map_arrays
from .lineart import DRAWINGS
from .lineart_standard import lineart_standard

if TYPE_CHECKING:
    import numpy as np

STANDARD = "lineart_standard"
STANDARD_SIGMA, STANDARD_THRESHOLD = 2.0, 3.0
"""AnyLine's own settings for the line drawing without a network."""
FAINTEST = 1 / 255
"""Fainter lines than the first of 256 grey levels do not count."""


def remove_specks(lines: Tensor, minimum_size: int, diagonal: bool) -> Tensor:
    """Lines (B, H, W) in 0..1 without those parts that hang together over fewer than `minimum_size` pixels.

    diagonal: whether pixels that touch at a corner hang together.
    """
    hints = map_arrays(lines, lambda drawing: _without_specks(drawing, minimum_size, diagonal))
    return hints[..., 0].to(lines.device)


def _without_specks(drawing: np.ndarray, minimum_size: int, diagonal: bool) -> np.ndarray:
    import cv2
    import numpy as np

    inked = (drawing >= FAINTEST).astype(np.uint8)
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(inked, connectivity=8 if diagonal else 4)
    keeps = statistics[:, cv2.CC_STAT_AREA] >= minimum_size
    keeps[0] = False  # the background
    return drawing * keeps[labels.astype(np.intp)]


def merge(edges: Tensor, lines: Tensor) -> Tensor:
    """Both at once, as two slides projected onto one screen: never darker than either."""
    return 1 - (1 - edges) * (1 - lines)


def _line_drawing(images: Tensor, method: str, networks: Networks) -> Tensor:
    """(B, H, W, 3) -> (B, H, W), padded to the sizes that the method needs and cut off again."""
    if method == STANDARD:
        return lineart_standard(images, STANDARD_SIGMA, STANDARD_THRESHOLD)[..., 0]
    drawing = DRAWINGS[method]
    height, width = images.shape[1:3]
    frame = sizes.Frame.plan(height, width, 0, drawing.multiple_of)
    padded = Inputs(sizes.pad(images, frame.padded), drawing.settings(), networks)
    return sizes.crop(cast(Hint, drawing.run(padded)).image, frame)[..., 0]


def _run(inputs: Inputs) -> Hint:
    edges = soft_edges(inputs.images, "mteed_anyline", SAFE_STEPS, inputs.networks)
    lines = _line_drawing(inputs.images, inputs.choice("merge_with"), inputs.networks).to(edges.device)
    lower, upper = inputs.number("lower_bound"), inputs.number("upper_bound")
    lines = lines.where((lines >= lower) & (lines <= upper), 0)
    return Hint(
        three_channels(merge(edges, remove_specks(lines, inputs.whole_number("speck_size"), inputs.switch("diagonal"))))
    )


ANYLINE = Preprocessor(
    id="anyline",
    label="AnyLine",
    hint="soft edges",
    description="Fine edges and a line drawing in one, white on black, for MistoLine and other SDXL line "
    "ControlNets. Made for a resolution of 1280.",
    run=_run,
    parameters=(
        Parameter(
            "merge_with",
            "Merge with",
            STANDARD,
            "The line drawing to put over the edges. All but the standard one need their own weights.",
            choices=(STANDARD, *DRAWINGS),
        ),
        Parameter(
            "lower_bound",
            "Lower bound",
            0.0,
            "Fainter lines of the drawing are left out.",
            minimum=0.0,
            maximum=1.0,
            step=0.01,
        ),
        Parameter(
            "upper_bound",
            "Upper bound",
            1.0,
            "Brighter lines of the drawing are left out.",
            minimum=0.0,
            maximum=1.0,
            step=0.01,
        ),
        Parameter(
            "speck_size",
            "Speck size",
            12,
            "Parts of the drawing with fewer pixels are left out. Other programs count each pixel once for red, green "
            "and blue: their 36 is 12 here.",
            minimum=1,
            maximum=10000,
            step=1,
            unit="px",
        ),
        Parameter("diagonal", "Diagonal", False, "Pixels that touch only at a corner belong together."),
    ),
    weights=("mteed_anyline",),
    aliases=("AnyLineArtPreprocessor_aux", "softedge_anyline", "MistoLine", "MTEED"),
    multiple_of=8,
)
