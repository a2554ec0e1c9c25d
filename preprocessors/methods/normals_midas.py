"""Surface normals from MiDaS depth, in the manner of ControlNet v1.0."""

import math

from torch import Tensor

from ..depth_maps import FINER, PRECISION, stretch
from ..description import Hint, Inputs, Parameter, Preprocessor
from ..estimate import estimate, network_size, to_image_size
from ..networks import midas
from ..normal_maps import V10, convention_parameter
from .normals_from_depth import normals_from_slopes, sobel


def midas_normals(depth: Tensor, flatness: float, background_threshold: float, convention: str) -> Tensor:
    """Normals of inverse depth in the network's own unit, (B, 1, H, W), as colors (B, H, W, 3) in 0..1.

    The slopes are Sobel's sums of the raw depth and `flatness` is the third component; what is farther than the
    threshold (0 = farthest, 1 = nearest) is flat. Source: ControlNet v1.0, annotator/midas.
    """
    flat = stretch(depth[:, 0]) < background_threshold
    across, down = (slopes.masked_fill(flat, 0) for slopes in sobel(depth[:, 0]))
    return normals_from_slopes(across, down, flatness, convention)


def _run(inputs: Inputs) -> Hint:
    depth = estimate(inputs.images, inputs.networks("midas"), inputs.whole_number("network_size"), midas.MULTIPLE)
    flatness, threshold = inputs.number("flatness"), inputs.number("background_threshold")
    colors = midas_normals(depth, flatness, threshold, inputs.choice("convention"))
    return Hint(to_image_size(colors.movedim(-1, 1), inputs.images))


MIDAS_NORMALS = Preprocessor(
    id="midas_normals",
    label="MiDaS Normals",
    hint="normals",
    description="Surface normals from MiDaS depth, in the colors of the v1.0 normal ControlNet; "
    "the background is flat.",
    run=_run,
    parameters=(
        network_size(384, more=FINER),
        Parameter(
            "flatness",
            "Flatness",
            2 * math.pi,
            "How strongly normals point at the viewer: less makes every slope steeper.",
            minimum=0.01,
            maximum=50.0,
            step=0.01,
        ),
        Parameter(
            "background_threshold",
            "Background threshold",
            0.4,
            "What is farther than this (0 = farthest, 1 = nearest) becomes a flat background.",
            minimum=0.0,
            maximum=1.0,
            step=0.01,
        ),
        convention_parameter(V10),
        PRECISION,
    ),
    weights=("midas",),
    aliases=("MiDaS-NormalMapPreprocessor", "normal_midas", "normal map"),
)
