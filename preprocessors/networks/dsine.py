"""DSINE: surface normals from one picture and its camera, refined by how neighboring normals turn into each other.

Sources: Bae and Davison, "Rethinking Inductive Biases for Surface Normal Estimation" (arXiv 2403.00712); weight names
of `dsine.pt` (baegwangbin/DSINE, model v02).
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .blocks.efficientnet import HEAD, UNUSED, Encoder
from .blocks.refinement import ConvGru, enlarge_convexly, window
from .official import Ops, assemble, unwrap

MULTIPLE = 32
"""Sides of the pictures the network takes are multiples of this."""
REFINEMENTS = 5
"""How often the normals are refined, as it was trained."""

_SKIPS = ((4, 176), (2, 64))
"""(stage of the trunk, its channels) that each step of the decoder adds, coarsest first."""
_WIDTHS = (1024, 512)
_FEATURES, _HIDDEN = 64, 64
_GROUPS = 8
_PLACE = 2
"""Channels that tell where in the camera's view a pixel lies."""
_FINER = 8
"""The normals are refined at one in so many pixels of each side."""
_WINDOW = 5
_NEIGHBORS = _WINDOW**2
_LEAST_COSINE = 0.01
"""Between a normal and the ray of its pixel: what is seen faces the camera."""
_LEAST_DEPTH = 1e-8
_SPREAD = 1e-5
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class _Up(nn.Module):
    """Enlarges to the skip's size, joins it, two convolutions. `build` has standardized their kernels."""

    def __init__(self, channels: int, width: int, ops: Ops) -> None:
        super().__init__()
        self._net = nn.Sequential(
            ops.Conv2d(channels, width, 3, padding=1),
            ops.GroupNorm(_GROUPS, width),
            nn.LeakyReLU(),
            ops.Conv2d(width, width, 3, padding=1),
            ops.GroupNorm(_GROUPS, width),
            nn.LeakyReLU(),
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        enlarged = functional.interpolate(x, size=skip.shape[2:], mode="bilinear", align_corners=False)
        return self._net(torch.cat([enlarged, skip], dim=1))


def _head(channels: int, width: int, outputs: int, ops: Ops) -> nn.Sequential:
    return nn.Sequential(
        ops.Conv2d(channels + _PLACE, width, 3, padding=1),
        nn.ReLU(),
        ops.Conv2d(width, width, 1),
        nn.ReLU(),
        ops.Conv2d(width, outputs, 1),
    )


class _Decoder(nn.Module):
    def __init__(self, ops: Ops) -> None:
        super().__init__()
        self.conv2 = ops.Conv2d(HEAD + _PLACE, HEAD, 1)
        channels = HEAD
        for step, ((_, skip), width) in enumerate(zip(_SKIPS, _WIDTHS, strict=True), 1):
            self.add_module(f"up{step}", _Up(channels + skip + _PLACE, width, ops))
            channels = width
        self.normal_head = _head(channels, 128, 3, ops)
        self.feature_head = _head(channels, 128, _FEATURES, ops)
        self.hidden_head = _head(channels, 128, _HIDDEN, ops)

    def forward(self, maps: list[Tensor], view: "View") -> tuple[Tensor, Tensor, Tensor]:
        """First normals (B, 3, h, w), not of unit length, features and the hidden state, at 1/8 of the size."""
        x = self.conv2(view.joined_to(maps[-1]))
        for step, (stage, _) in enumerate(_SKIPS, 1):
            x = self.get_submodule(f"up{step}")(x, view.joined_to(maps[stage]))
        x = view.joined_to(x)
        return self.normal_head(x), self.feature_head(x), self.hidden_head(x)


class View:
    """The camera of a picture: where each pixel of a map lies in its view.

    focal_lengths: across and down, in widths and heights of the picture, whose middle the camera looks at.
    """

    def __init__(self, focal_lengths: tuple[float, float]) -> None:
        self.focal_lengths = focal_lengths

    def slopes(self, x: Tensor) -> Tensor:
        """(1, 2, h, w) in float32: how far right and down the ray of each pixel of x (B, C, h, w) goes in a unit."""
        height, width = x.shape[2:]
        across, down = self.focal_lengths
        right = ((torch.arange(width, device=x.device) + 0.5) / width - 0.5) / across
        below = ((torch.arange(height, device=x.device) + 0.5) / height - 0.5) / down
        return torch.stack([right.expand(height, -1), below[:, None].expand(-1, width)])[None]

    def rays(self, x: Tensor) -> Tensor:
        """(1, 3, h, w): the unit vector along each pixel's ray, to the right, down and away from the camera."""
        slopes = self.slopes(x)
        return functional.normalize(torch.cat([slopes, torch.ones_like(slopes[:, :1])], dim=1), dim=1)

    def joined_to(self, x: Tensor) -> Tensor:
        """Features with the place of each pixel behind them."""
        return torch.cat([x, self.slopes(x).to(x).expand(len(x), -1, -1, -1)], dim=1)


class Dsine(nn.Module):
    """The whole network."""

    def __init__(self, ops: Ops = nn) -> None:
        super().__init__()
        self.encoder = Encoder(ops)
        self.decoder = _Decoder(ops)
        self.gru = ConvGru(_HIDDEN, _FEATURES + _PLACE, _WINDOW, ops)
        self.prob_head = _head(_HIDDEN, 64, _NEIGHBORS, ops)
        self.xy_head = _head(_HIDDEN, 64, 2 * _NEIGHBORS, ops)
        self.angle_head = _head(_HIDDEN, 64, _NEIGHBORS, ops)
        self.up_prob_head = _head(_HIDDEN, 64, 9 * _FINER**2, ops)

    def forward(self, images: Tensor, focal_lengths: tuple[float, float], refinements: int = REFINEMENTS) -> Tensor:
        """RGB (B, 3, H, W) in 0..1, H and W multiples of 32 -> unit normals (B, 3, H, W) in float32.

        Three components, to the left, up and to the viewer. focal_lengths: as `View` takes them.
        """
        mean, deviation = (images.new_tensor(values).view(3, 1, 1) for values in (_MEAN, _DEVIATION))
        view = View(focal_lengths)
        normals, features, hidden = self.decoder(self.encoder((images - mean) / deviation), view)
        normals = facing_camera(functional.normalize(normals.float(), dim=1), view.rays(normals))
        features = view.joined_to(features)
        for _ in range(refinements):
            hidden = self.gru(hidden, features)
            normals = self._refined(normals, hidden, view)
        weights = self.up_prob_head(view.joined_to(hidden)).float()
        return functional.normalize(enlarge_convexly(normals, weights, _FINER), dim=1)

    def _refined(self, normals: Tensor, hidden: Tensor, view: View) -> Tensor:
        """Each pixel's normal from those of its neighbors, turned as the hidden state says and weighted."""
        state = view.joined_to(hidden)
        weights = self.prob_head(state).float().sigmoid()
        directions = functional.normalize(self.xy_head(state).float().unflatten(1, (2, _NEIGHBORS)), dim=1)
        angles = self.angle_head(state).float().sigmoid() * math.pi
        neighbors = window(normals, _WINDOW)
        axes = directions_in_the_surface(neighbors, directions, window(view.slopes(hidden), _WINDOW), view)
        turned = facing_camera(
            functional.normalize(rotate(neighbors, axes, angles), dim=1), view.rays(hidden)[:, :, None]
        )
        return functional.normalize((weights[:, None] * turned).sum(2), dim=1)


def directions_in_the_surface(normals: Tensor, directions: Tensor, slopes: Tensor, view: View) -> Tensor:
    """The axes that neighbors turn about: unit vectors along their surfaces that look like `directions` in the picture.

    normals: (B, 3, N, h, w); directions: (B, 2, N, h, w), unit steps to the right and down in the picture; slopes: of
    the neighbors' rays, (1, 2, N, h, w). Returns (B, 3, N, h, w), zero where a surface is seen edge on.
    """
    height, width = normals.shape[3:]
    step = directions / directions.new_tensor([view.focal_lengths[0] * width, view.focal_lengths[1] * height]).view(
        2, 1, 1, 1
    )
    end = slopes + step
    climb = -(step * normals[:, :2]).sum(1)
    depth = (end * normals[:, :2]).sum(1) + normals[:, 2]
    depth = torch.where(depth.abs() < _LEAST_DEPTH, _LEAST_DEPTH * depth.sign(), depth)
    deeper = (climb / depth)[:, None]
    axes = functional.normalize(torch.cat([step + deeper * end, deeper], dim=1), dim=1)
    return torch.where(axes.isfinite().all(1, keepdim=True), axes, 0.0)


def rotate(vectors: Tensor, axes: Tensor, angles: Tensor) -> Tensor:
    """Vectors (B, 3, ...) turned about unit axes (B, 3, ...) by angles (B, ...): Rodrigues' formula.

    Those whose axis is zero stay as they are.
    """
    sine, cosine = angles.sin()[:, None], angles.cos()[:, None]
    turned = vectors * cosine + torch.linalg.cross(axes, vectors, dim=1) * sine
    turned = turned + axes * (axes * vectors).sum(1, keepdim=True) * (1 - cosine)
    return torch.where(axes.any(1, keepdim=True), turned, vectors)


def facing_camera(normals: Tensor, rays: Tensor) -> Tensor:
    """Unit normals (B, 3, ...) that no ray sees from behind: those that would are turned until it grazes them."""
    cosine = functional.cosine_similarity(normals, rays, dim=1)[:, None]
    return functional.normalize(normals + rays * (cosine.clamp(min=_LEAST_COSINE) - cosine), dim=1)


def build(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of `dsine.pt`. Kernels that it standardizes at every use are standardized here, once."""
    weights = {name: value for name, value in unwrap(state_dict).items() if not name.startswith(UNUSED)}
    for name, value in weights.items():
        if "._net." in name and value.dim() == 4:
            weights[name] = _standardized(value)
    return assemble(lambda: Dsine(ops), weights)


def _standardized(kernel: Tensor) -> Tensor:
    """Each output's kernel with mean 0 and deviation 1 (Qiao et al., arXiv 1903.10520)."""
    if kernel.is_meta:
        return kernel
    centered = kernel.double() - kernel.double().mean((1, 2, 3), keepdim=True)
    spread = centered.flatten(1).std(1) + _SPREAD
    return (centered / spread[:, None, None, None]).to(kernel)
