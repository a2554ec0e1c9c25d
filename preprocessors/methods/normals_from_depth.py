"""Surface normals from a depth image: which way each surface faces, as a color."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..description import Hint, Inputs, Parameter, Preprocessor
from ..normal_maps import V11, convention_parameter, normal_colors


def normals_from_slopes(across: Tensor, down: Tensor, front: float, convention: str) -> Tensor:
    """Unit normals as colors (n + 1) / 2.

    across, down: BHW, how fast the nearness grows to the right and downwards; a surface that faces left gets nearer
    to the right. front: the third component, in the same unit. Returns BHWC 0..1.
    """
    direction = torch.stack([across, down, torch.full_like(across, front)], dim=-1)
    return normal_colors(functional.normalize(direction, dim=-1), convention)


def sobel(values: Tensor) -> tuple[Tensor, Tensor]:
    """The 3x3 Sobel sums of BHW to the right and downwards, eight times the slope per pixel; edges mirrored."""
    smooth = values.new_tensor([1.0, 2.0, 1.0])
    slope = values.new_tensor([-1.0, 0.0, 1.0])
    kernels = torch.stack([torch.outer(smooth, slope), torch.outer(slope, smooth)])[:, None]
    sums = functional.conv2d(functional.pad(values[:, None], (1, 1, 1, 1), "reflect"), kernels)
    return sums[:, 0], sums[:, 1]


def normals_from_depth(depth: Tensor, relief: float, background_threshold: float, convention: str) -> Tensor:
    """Normals of a depth image, BHW 0..1 with near = 1.

    relief: distance between black and white, as a fraction of the picture's shorter side, so that the result does not
    depend on the size. background_threshold: what is farther counts as flat, as in ControlNet v1.0's `apply_midas`.
    Returns BHWC 0..1.
    """
    across, down = (slope / 8 * relief * min(depth.shape[1:]) for slope in sobel(depth))
    flat = depth < background_threshold
    return normals_from_slopes(across.masked_fill(flat, 0), down.masked_fill(flat, 0), 1.0, convention)


def _run(inputs: Inputs) -> Hint:
    depth = inputs.images.mean(dim=-1)
    depth = 1 - depth if inputs.switch("near_is_black") else depth
    relief, threshold = inputs.number("relief"), inputs.number("background_threshold")
    return Hint(normals_from_depth(depth, relief, threshold, inputs.choice("convention")))


NORMALS_FROM_DEPTH = Preprocessor(
    id="normals_from_depth",
    label="Normals from Depth",
    hint="normals",
    description="Normals of a depth image (near = white) from any source: red faces left, green up, blue the viewer.",
    run=_run,
    parameters=(
        Parameter(
            "relief",
            "Relief",
            0.5,
            "How deep the scene is: the distance between black and white, as a fraction of the shorter side.",
            minimum=0.01,
            maximum=10.0,
            step=0.01,
        ),
        Parameter(
            "background_threshold",
            "Background threshold",
            0.0,
            "What is darker than this counts as flat background.",
            minimum=0.0,
            maximum=1.0,
            step=0.01,
        ),
        convention_parameter(V11),
        Parameter("near_is_black", "Near is black", False, "Wire a depth image that is dark where near."),
    ),
    aliases=("normal map", "depth to normal", "bump"),
)
