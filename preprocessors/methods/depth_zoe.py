"""Depth in metres by ZoeDepth, shown with near white."""

from __future__ import annotations

import math

from torch import Tensor, nn

from ..depth_maps import FINER, depth_parameters
from ..description import Inputs, Parameter, Preprocessor
from ..estimate import estimate, network_size
from ..networks import zoe

_LOWER, _UPPER = 15.0, 98.0
"""Percentiles by nearness: the farthest 15 % are black, the nearest 2 % white (ControlNet v1.1, annotator/zoe)."""
_MARGIN = 3
"""Mirrored border around a picture, in square roots of half its side: the network is unsure at the edge."""


def metric_depth(images: Tensor, network: nn.Module, shorter_side: int, mirrored_too: bool) -> Tensor:
    """Distance in metres of pictures (B, H, W, 3) in 0..1: (B, 1, H, W).

    mirrored_too: the mean with the distances of the mirrored picture, as ZoeDepth's own `infer`.
    """
    height, width = images.shape[1:3]
    above, left = (min(int(math.sqrt(side / 2) * _MARGIN), side - 1) for side in (height, width))
    framed = nn.functional.pad(images.movedim(-1, 1), (left, left, above, above), mode="reflect").movedim(1, -1)
    depth = estimate(framed, network, shorter_side, zoe.MULTIPLE)
    if mirrored_too:
        depth = (depth + estimate(framed.flip(2), network, shorter_side, zoe.MULTIPLE).flip(3)) / 2
    depth = nn.functional.interpolate(depth, size=framed.shape[1:3], mode="bicubic", align_corners=False)
    return depth[:, :, above : above + height, left : left + width]


def _run(inputs: Inputs) -> Tensor:
    network, size = inputs.networks("zoe"), inputs.whole_number("network_size")
    return metric_depth(inputs.images, network, size, inputs.switch("mirrored_too"))[:, 0]


ZOE_DEPTH = Preprocessor(
    id="zoe_depth",
    label="Zoe Depth",
    hint="depth",
    description="Depth that keeps the proportions of real distances, near is white: smooth surfaces, good for rooms.",
    run=_run,
    parameters=(
        network_size(384, more=FINER),
        Parameter(
            "mirrored_too",
            "Mirrored too",
            True,
            "Look at the mirrored picture as well and take the mean, as ZoeDepth itself does. Off is twice as fast.",
        ),
        *depth_parameters("meters", near=0.5, far=zoe.FARTHEST, lower=_LOWER, upper=_UPPER),
    ),
    depth="meters",
    weights=("zoe",),
    aliases=("Zoe-DepthMapPreprocessor", "depth_zoe", "ZoeDepth", "metric depth"),
)
