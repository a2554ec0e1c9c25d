"""How well a picture follows its hint: extract the hint again and compare.

The loss does not show the moment when a ControlNet begins to follow hints (paper, figure 4, "sudden convergence");
this does.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..pairs.dataset import HintMaker
from .samples import SampleRow

BLUR = 0.01
"""Radius within which lines count as the same, as a fraction of the shorter side."""


def adherence(hint: Tensor, extracted: Tensor) -> float:
    """Correlation of two hints after a blur, from -1 to 1; 0 when one of them is uniform.

    hint, extracted: (3, H, W), 0..1. The blur lets lines agree that lie a pixel or two apart; the correlation is
    the same measure for lines, depth, normals and maps.
    """
    one, other = (_blurred(t) for t in (hint, extracted))
    one, other = one - one.mean(), other - other.mean()
    scale = one.norm() * other.norm()
    return float((one * other).sum() / scale) if scale > 1e-6 else 0.0


def mean_adherence(rows: Sequence[SampleRow], maker: HintMaker) -> tuple[float, float]:
    """Mean adherence of the samples with control, and of those without for comparison."""
    pairs = []
    for row in rows:
        images = (row.controlled, row.uncontrolled)
        extracted = [maker.make(image.permute(1, 2, 0)[None])[0].permute(2, 0, 1) for image in images]
        pairs.append([adherence(row.hint, hint) for hint in extracted])
    controlled, uncontrolled = torch.tensor(pairs).mean(0).tolist()
    return controlled, uncontrolled


def _blurred(pixels: Tensor) -> Tensor:
    radius = max(1, round(BLUR * min(pixels.shape[-2:])))
    smooth = pixels.float()[None]
    for _ in range(3):  # three boxes are nearly a Gaussian
        smooth = torch.nn.functional.avg_pool2d(smooth, 2 * radius + 1, 1, radius, count_include_pad=False)
    return smooth
