"""Hints for ControlNets, made from what the renderer knows exactly: white on black, as preprocessors draw them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .render import Rendering

CREASE = 0.86
"""Cosine of the angle between neighbouring surfaces from which on their border is an edge (about 30 degrees)."""


def edges(rendering: Rendering) -> Tensor:
    """Outlines and creases, one pixel wide, as Canny draws them: (N, 3, S, S), 0 or 1."""
    return _grey(_borders(rendering, CREASE).float())


def depth(rendering: Rendering) -> Tensor:
    """Relative depth, near = white: (N, 3, S, S), 0..1."""
    return _grey(rendering.depth)


def scribble(rendering: Rendering) -> Tensor:
    """Outlines alone, thick and somewhat off, as a hand draws them: (N, 3, S, S), 0 or 1.

    How far they are off is the same in every call.
    """
    outline = _borders(rendering, -1.0).float()[:, None]
    thick = nn.functional.max_pool2d(outline, 3, stride=1, padding=1)
    count, _, side, _ = thick.shape
    generator = torch.Generator().manual_seed(0)
    bend = torch.randn(count, 2, 5, 5, generator=generator) * 1.2 / side
    bend = nn.functional.interpolate(bend, size=(side, side), mode="bicubic", align_corners=True).movedim(1, -1)
    step = (torch.arange(side) + 0.5) / side * 2 - 1
    place = torch.stack(torch.meshgrid(step, step, indexing="xy"), -1) + bend
    moved = nn.functional.grid_sample(thick, place, mode="bilinear", align_corners=False)
    return _grey((moved[:, 0] > 0.5).float())


def segmentation(rendering: Rendering) -> Tensor:
    """Floor black, first object red, second green: (N, 3, S, S), 0 or 1."""
    none = torch.zeros_like(rendering.label)
    return torch.stack([rendering.label == 1, rendering.label == 2, none], 1).float()


def normals(rendering: Rendering) -> Tensor:
    """Surface normals, x y z as red green blue: (N, 3, S, S), 0..1."""
    return rendering.normal / 2 + 0.5


HINTS: dict[str, Callable[[Rendering], Tensor]] = {"canny": edges, "scribble": scribble, "depth": depth}
"""The kinds that the shipped ControlNets understand."""


def object_mask(rendering: Rendering) -> Tensor:
    """Where there is an object: (N, S, S) bool."""
    return rendering.label > 0


def _borders(rendering: Rendering, crease: float) -> Tensor:
    """Pixels whose right or lower neighbour belongs to another object, or to a surface turned away by more than
    the angle of cosine `crease`: (N, S, S) bool."""
    label, normal = rendering.label, rendering.normal
    border = torch.zeros_like(label, dtype=torch.bool)
    border[:, :, :-1] |= label[:, :, :-1] != label[:, :, 1:]
    border[:, :-1] |= label[:, :-1] != label[:, 1:]
    border[:, :, :-1] |= (normal[..., :-1] * normal[..., 1:]).sum(1) < crease
    border[:, :-1] |= (normal[:, :, :-1] * normal[:, :, 1:]).sum(1) < crease
    return border


def _grey(value: Tensor) -> Tensor:
    return value[:, None].expand(-1, 3, -1, -1)
