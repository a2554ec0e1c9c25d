"""Depth in metres by ZoeDepth, shown with near white."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ..depth_maps import FINER
from ..description import Hint, Inputs, Parameter, Preprocessor
from ..estimate import estimate, network_size, to_image_size
from ..networks import zoe

_NEAR, _FAR = 0.02, 0.85
"""Shares of the pixels that are nearer than white and than black (ControlNet v1.1, annotator/zoe)."""
_COUNTED = 1 << 20
"""Pixels that are sorted to find them, evenly picked from a larger picture."""
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


def nearness(depth: Tensor) -> Tensor:
    """Distance (B, 1, H, W) -> 0..1, white where near; all 0 for a picture of one distance."""
    picked = depth.flatten(1)
    picked = picked[:, :: max(1, picked.shape[1] // _COUNTED)]
    near, far = (torch.quantile(picked, share, dim=1).view(-1, 1, 1, 1) for share in (_NEAR, _FAR))
    flat = far <= near
    return ((far - depth) / (far - near).masked_fill(flat, 1)).clamp(0, 1).masked_fill(flat, 0)


def _run(inputs: Inputs) -> Hint:
    depth = metric_depth(
        inputs.images, inputs.networks("zoe"), inputs.whole_number("network_size"), inputs.switch("mirrored_too")
    )
    return Hint(to_image_size(nearness(depth), inputs.images))


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
    ),
    weights=("zoe",),
    aliases=("Zoe-DepthMapPreprocessor", "depth_zoe", "ZoeDepth", "metric depth"),
)
