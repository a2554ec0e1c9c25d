"""Instance normalization without weights of its own, also of pictures that are seen in parts."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

_EPSILON = 1e-5
_BLOCK = 1 << 16
"""Values of a picture worked on at a time: they stay in a processor's cache from one step to the next."""


@dataclass(frozen=True)
class Moments:
    """Mean and 1 / standard deviation of each channel of each picture, (B, C, 1, 1)."""

    mean: Tensor
    scale: Tensor

    def normalize_(self, x: Tensor) -> Tensor:
        """Every channel of (B, C, H, W) to mean 0 and variance 1, in place."""
        mean, scale = self.mean.to(x), self.scale.to(x)
        for block in _blocks(x):
            block.sub_(mean).mul_(scale)
        return x


@dataclass
class Statistics:
    """Moments from parts of pictures: the mean and the squared deviations of each part, joined at the end.

    Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances" (1979).
    """

    _counts: list[int] = field(default_factory=list)
    _means: list[Tensor] = field(default_factory=list)
    _squares: list[Tensor] = field(default_factory=list)

    def add(self, x: Tensor) -> Statistics:
        """Count in some rows, (B, C, H, W)."""
        for block in _blocks(x):
            block = block.float() if block.dtype != torch.float64 else block
            count = block.shape[2] * block.shape[3]
            mean = block.sum((2, 3), keepdim=True) / count
            self._counts.append(count)
            self._means.append(mean)
            self._squares.append((block - mean).square_().sum((2, 3), keepdim=True))
        return self

    def moments(self) -> Moments:
        """The moments of all that was added."""
        means = torch.stack(self._means)
        counts = means.new_tensor(self._counts).view(-1, 1, 1, 1, 1)
        mean = (means * counts).sum(0) / counts.sum()
        squares = torch.stack(self._squares).sum(0) + ((means - mean).square() * counts).sum(0)
        return Moments(mean, (squares / counts.sum() + _EPSILON).rsqrt_())


class InstanceNorm(nn.Module):
    """Each channel of each picture to mean 0 and variance 1, in place.

    torch's own has no fast and exact way for channels that lie side by side, the order that convolutions like best.
    """

    def forward(self, x: Tensor) -> Tensor:
        return Statistics().add(x).moments().normalize_(x)


def _blocks(x: Tensor) -> tuple[Tensor, ...]:
    """Whole rows of all pictures and channels; on a GPU, which has no such cache to keep, everything at once."""
    if x.device.type != "cpu":
        return (x,)
    return x.split(max(1, _BLOCK // (x.shape[1] * x.shape[3])), dim=2)
