"""Scribbles from a photograph: the ridges of its soft edges as strokes of one width (ControlNet v1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from ..description import Hint, Inputs, Preprocessor, Run
from ..line_maps import SAFE, SAFE_STEPS, soft_edges, three_channels
from ..pixels import map_arrays
from .soft_edges import HED, PIDINET

if TYPE_CHECKING:
    import numpy as np

BLUR_SIGMA = 3.0
"""Pixels; before the ridges are looked for, and again to make them into strokes."""
RIDGE_LEVEL = 127
STROKE_LEVEL = 4
"""Grey levels 0..255 above which a blurred edge is a ridge, and a blurred ridge a stroke."""

SKETCH_LEVEL = 0.5
"""Softer edges are not lines of a sketch."""

_DIRECTIONS = (
    ((0, 0, 0), (1, 1, 1), (0, 0, 0)),
    ((0, 1, 0), (0, 1, 0), (0, 1, 0)),
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((0, 0, 1), (0, 1, 0), (1, 0, 0)),
)


def scribble_from_edges(edges: Tensor) -> Tensor:
    """Soft edges (B, H, W) in 0..1 -> white strokes on black, (B, H, W, 3), 0 or 1.

    ControlNet v1.1 `gradio_scribble.py` and `annotator/util.py`, `nms`: in whole grey levels as there, so that the
    strokes are the ones that scribble ControlNets know.
    """
    return map_arrays((edges * 255).floor_(), _strokes)


def _strokes(edges: np.ndarray) -> np.ndarray:
    import cv2
    import numpy as np

    return (cv2.GaussianBlur(_ridges(edges), (0, 0), BLUR_SIGMA) > STROKE_LEVEL).astype(np.float32)


def _ridges(edges: np.ndarray) -> np.ndarray:
    """Where a pixel is the highest of three in at least one direction: HW float32 0..255 -> HW uint8, 0 or 255."""
    import cv2
    import numpy as np

    blurred = cv2.GaussianBlur(edges, (0, 0), BLUR_SIGMA)
    ridge = np.zeros(blurred.shape, bool)
    for direction in _DIRECTIONS:
        ridge |= cv2.dilate(blurred, np.array(direction, np.uint8)) == blurred
    return np.where(ridge & (blurred > RIDGE_LEVEL), np.uint8(255), np.uint8(0))


def _runs(row: str) -> Run:
    def run(inputs: Inputs) -> Hint:
        return Hint(
            scribble_from_edges(
                soft_edges(inputs.images, row, SAFE_STEPS if inputs.switch("safe") else 0, inputs.networks)
            )
        )

    return run


def _run_sketch(inputs: Inputs) -> Hint:
    return Hint(three_channels((soft_edges(inputs.images, "pidinet", 0, inputs.networks) > SKETCH_LEVEL).float()))


SCRIBBLE_HED = Preprocessor(
    id="scribble_hed",
    label="Scribble from Photo (HED)",
    hint="scribble",
    description="White strokes on black along the main contours of a photograph, as if drawn by hand.",
    run=_runs("hed"),
    parameters=(SAFE,),
    weights=HED.weights,
    aliases=("FakeScribblePreprocessor", "fake scribble", "scribble from photo"),
    multiple_of=HED.multiple_of,
)

SCRIBBLE_PIDINET = Preprocessor(
    id="scribble_pidinet",
    label="Scribble from Photo (PiDiNet)",
    hint="scribble",
    description="White strokes on black along the contours of a photograph, with more detail than HED's.",
    run=_runs("pidinet"),
    parameters=(SAFE,),
    weights=PIDINET.weights,
    aliases=("Scribble_PiDiNet_Preprocessor",),
    multiple_of=PIDINET.multiple_of,
    license=PIDINET.license,
)

SKETCH_PIDINET = Preprocessor(
    id="sketch_pidinet",
    label="Sketch from Photo (PiDiNet)",
    hint="scribble",
    description="White lines on black, 0 or 1, where PiDiNet's edges are strong: for T2I-Adapter's sketch.",
    run=_run_sketch,
    weights=PIDINET.weights,
    aliases=("t2ia_sketch_pidi", "T2I-Adapter sketch"),
    multiple_of=PIDINET.multiple_of,
    license=PIDINET.license,
)
