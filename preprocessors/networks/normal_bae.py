"""NormalBAE: surface normals from one picture, the network of ControlNet v1.1's normal annotator.

Sources: Bae et al., "Estimating and Exploiting the Aleatoric Uncertainty in Surface Normal Estimation"
(arXiv 2109.09881); weight names of `scannet.pt` (baegwangbin/surface_normal_uncertainty, MIT).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .blocks.dpt import enlarge
from .blocks.efficientnet import HEAD, UNUSED, Encoder
from .official import Ops, assemble, unwrap

MULTIPLE = 32
"""Sides of the pictures the network takes are multiples of this."""

_SKIPS = ((4, 176), (2, 64), (1, 40), (0, 24))
"""(stage of the trunk, its channels) that each step of the decoder adds, coarsest first."""

_WIDTHS = (1024, 512, 256, 128)
_REFINED = ((4, 512), (2, 256), (1, 128))
"""(shrinking, channels of its features) of each refinement, coarsest first."""

_OUTPUTS = 4
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_LEAST_CONCENTRATION = 0.01


class _Up(nn.Module):
    """Enlarges to the skip's size, joins it, two convolutions."""

    def __init__(self, channels: int, width: int, ops: Ops) -> None:
        super().__init__()
        self._net = nn.Sequential(
            ops.Conv2d(channels, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(),
            ops.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(),
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self._net(torch.cat([enlarge(x, (skip.shape[2], skip.shape[3])), skip], dim=1))


def _refiner(channels: int, ops: Ops) -> nn.Sequential:
    """A perceptron at every pixel: its features and the coarser estimate -> the estimate."""
    widths = (channels + _OUTPUTS, 128, 128, 128)
    layers: list[nn.Module] = []
    for before, after in zip(widths, (*widths[1:], _OUTPUTS), strict=True):
        layers += [ops.Conv2d(before, after, 1), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class _Decoder(nn.Module):
    def __init__(self, ops: Ops) -> None:
        super().__init__()
        self.conv2 = ops.Conv2d(HEAD, HEAD, 1)
        channels = HEAD
        for step, ((_, skip), width) in enumerate(zip(_SKIPS, _WIDTHS, strict=True), 1):
            self.add_module(f"up{step}", _Up(channels + skip, width, ops))
            channels = width
        self.out_conv_res8 = ops.Conv2d(_WIDTHS[1], _OUTPUTS, 3, padding=1)
        for shrinking, width in _REFINED:
            self.add_module(f"out_conv_res{shrinking}", _refiner(width, ops))

    def forward(self, maps: list[Tensor]) -> Tensor:
        x = self.conv2(maps[-1])
        features = []
        for step, (stage, _) in enumerate(_SKIPS, 1):
            x = self.get_submodule(f"up{step}")(x, maps[stage])
            features.append(x)
        estimate = _as_distribution(self.out_conv_res8(features[1]))
        for (shrinking, _), feature in zip(_REFINED, features[1:], strict=True):
            size = (2 * feature.shape[2], 2 * feature.shape[3])
            entry = torch.cat([enlarge(feature, size), enlarge(estimate, size)], dim=1)
            estimate = _as_distribution(self.get_submodule(f"out_conv_res{shrinking}")(entry))
        return estimate


def _as_distribution(x: Tensor) -> Tensor:
    """A unit normal and its concentration, from four free numbers."""
    normal, concentration = x[:, :3], x[:, 3:]
    length = normal.norm(dim=1, keepdim=True) + 1e-10
    return torch.cat([normal / length, nn.functional.elu(concentration) + 1 + _LEAST_CONCENTRATION], dim=1)


class NormalBae(nn.Module):
    """The whole network."""

    def __init__(self, ops: Ops = nn) -> None:
        super().__init__()
        self.encoder = Encoder(ops)
        self.decoder = _Decoder(ops)

    def forward(self, images: Tensor) -> Tensor:
        """RGB (B, 3, H, W) in 0..1, H and W multiples of 32 -> (B, 4, H, W).

        Three components of the unit normal, to the left, up and to the viewer, and how sure it is (above 0).
        """
        mean, deviation = (images.new_tensor(values).view(3, 1, 1) for values in (_MEAN, _DEVIATION))
        return self.decoder(self.encoder((images - mean) / deviation))


def build(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of `scannet.pt`. Its perceptrons are stored as convolutions of one dimension."""
    weights = {name: value for name, value in unwrap(state_dict).items() if not name.startswith(UNUSED)}
    weights = {name: value[..., None] if value.dim() == 3 else value for name, value in weights.items()}
    return assemble(lambda: NormalBae(ops), weights)
