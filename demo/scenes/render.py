"""Draws scenes of `world` by analytic ray casting, with everything a ControlNet can be shown known exactly.

The camera is orthographic and looks down on an endless floor, so that a place in the picture is a place on the
floor and size does not depend on it. World axes: x right, y up, z towards the camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from .world import COLORS, FLOORS, SHAPES, SLOTS, Scenes

ELEVATION = math.radians(32.0)
_SINE, _COSINE = math.sin(ELEVATION), math.cos(ELEVATION)
_RIGHT = torch.tensor([1.0, 0.0, 0.0])
_UP = torch.tensor([0.0, _COSINE, -_SINE])
_FORWARD = torch.tensor([0.0, -_SINE, -_COSINE])
_FAR = 1e4
CUBE, CYLINDER, CONE_BASE, HEIGHT = 0.74, 0.72, 0.92, 0.92
"""Half the side, the radii, and half the height of the solids, as shares of the object's radius."""


@dataclass(frozen=True)
class Rendering:
    """`image` (N, 3, S, S) in 0..1; `depth` (N, S, S) in 0..1, near = 1; `normal` (N, 3, S, S) in camera axes,
    unit length; `label` (N, S, S) 0 = floor, 1 = first object, 2 = second."""

    image: torch.Tensor
    depth: torch.Tensor
    normal: torch.Tensor
    label: torch.Tensor


def render(scenes: Scenes, size: int = 128, samples: int = 2) -> Rendering:
    """The pictures of `scenes`, `size` pixels square, `samples` x `samples` rays a pixel."""
    rays = size * samples
    step = (torch.arange(rays) + 0.5) / rays * 2 - 1
    y, x = torch.meshgrid(-step, step, indexing="ij")
    x, y = x.reshape(-1), y.reshape(-1)
    floor_distance = y * _COSINE / _SINE
    distance = floor_distance.expand(len(scenes), -1).clone()
    normal = torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1).repeat(len(scenes), 1, x.numel())
    label = torch.zeros(len(scenes), x.numel(), dtype=torch.long)
    shadow = torch.ones(len(scenes), x.numel())
    for slot in range(SLOTS):
        shadow = shadow * _shadow(scenes, slot, x, y)
        for kind in range(len(SHAPES)):
            rows = (scenes.present[:, slot] & (scenes.shape[:, slot] == kind)).nonzero()[:, 0]
            if rows.numel():
                place = _patch(scenes.centre[rows, slot], scenes.radius[rows, slot], rays)
                hit, hit_normal = _cast(scenes[rows], slot, kind, x[place], y[place])
                old = distance[rows[:, None], place]
                nearer = hit < old
                distance[rows[:, None], place] = torch.where(nearer, hit, old)
                label[rows[:, None], place] += (slot + 1 - label[rows[:, None], place]) * nearer
                old_normal = normal[rows[:, None], :, place]
                new_normal = torch.where(nearer[..., None], hit_normal.movedim(0, -1), old_normal)
                normal[rows[:, None], :, place] = new_normal
    color = _shade(scenes, normal, label, shadow, y)
    image = torch.nn.functional.avg_pool2d(color.view(-1, 3, rays, rays), samples)
    middle = slice(samples // 2, None, samples)
    low, high = distance.amin(1, keepdim=True), distance.amax(1, keepdim=True)
    near = ((high - distance) / (high - low)).view(-1, 1, rays, rays)
    axes = torch.stack([_RIGHT, _UP, -_FORWARD])
    return Rendering(
        image=image.clamp(0, 1),
        depth=torch.nn.functional.avg_pool2d(near, samples)[:, 0],
        normal=torch.einsum("ij,bjhw->bihw", axes, normal.view(-1, 3, rays, rays)[..., middle, middle]),
        label=label.view(-1, rays, rays)[..., middle, middle],
    )


def _shade(
    scenes: Scenes, normal: torch.Tensor, label: torch.Tensor, shadow: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    """Lambert shading of every ray's hit: (N, 3, rays)."""
    colors, floors = torch.tensor(list(COLORS.values())), torch.tensor(list(FLOORS.values()))
    palette = torch.cat([floors[scenes.floor][:, None], colors[scenes.color]], 1)
    albedo = palette.gather(1, label[..., None].expand(-1, -1, 3)).transpose(1, 2)
    lit = (normal * scenes.light[..., None]).sum(1).clamp_min(0)
    on_object = 0.38 + 0.68 * lit
    on_floor = shadow * (0.96 - 0.06 * y)
    return albedo * torch.where(label > 0, on_object, on_floor)[:, None]


def _patch(centre: torch.Tensor, radius: torch.Tensor, rays: int) -> torch.Tensor:
    """Indices (N, P) of the rays in a square about each object, all squares of the size of the largest."""
    side = min(rays, 2 * math.ceil(float(radius.max()) * 1.3 * rays / 2))
    corner = torch.stack([centre[:, 0], -centre[:, 1]], 1).add(1).mul(rays / 2) - side / 2
    left, top = corner.round().long().clamp(0, rays - side).unbind(1)
    offset = torch.arange(side)
    rows, columns = top[:, None] + offset, left[:, None] + offset
    return (rows[:, :, None] * rays + columns[:, None, :]).flatten(1)


def _foot(scenes: Scenes, slot: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Height of the object's middle above the floor, and where in the picture (y) its foot stands: (N, 1) each."""
    share = torch.tensor([1.0 if name == "ball" else CUBE if name == "cube" else HEIGHT for name in SHAPES])
    height = scenes.radius[:, slot, None] * share[scenes.shape[:, slot]][:, None]
    return height, scenes.centre[:, slot, 1:] - height * _COSINE


def _shadow(scenes: Scenes, slot: int, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """How much light (N, rays; 0..1) the object in `slot` leaves to the floor."""
    _, foot_y = _foot(scenes, slot)
    across, along = x - scenes.centre[:, slot, :1], (y - foot_y) / _SINE
    nearness = torch.exp(-(across**2 + along**2) / (0.95 * scenes.radius[:, slot, None]) ** 2)
    return 1 - 0.45 * nearness * scenes.present[:, slot, None]


def _cast(scenes: Scenes, slot: int, kind: int, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Distance (N, rays; `_FAR` = missed) and world normal (3, N, rays) of one object of each scene."""
    radius, centre, turn = scenes.radius[:, slot, None], scenes.centre[:, slot], scenes.turn[:, slot, None]
    # In units of the radius, seen from the object's middle; rays start in the plane through that middle.
    u, v = (x - centre[:, :1]) / radius, (y - centre[:, 1:]) / radius
    cosine, sine = torch.cos(turn), torch.sin(turn)
    local_start = _turned(torch.stack([u, v * _COSINE, -v * _SINE]), cosine, -sine)
    direction = _turned(torch.stack([0 * turn, 0 * turn - _SINE, 0 * turn - _COSINE]), cosine, -sine)
    hit, local_normal = _SOLIDS[kind](local_start, direction)
    height, foot_y = _foot(scenes, slot)
    middle_distance = foot_y * _COSINE / _SINE - height * _SINE
    distance = torch.where(hit < _FAR / 2, hit * radius + middle_distance, _FAR)
    return distance, _turned(local_normal, cosine, sine)


def _turned(vector: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """`vector` (3, N, rays) turned about the vertical."""
    return torch.stack(
        [cosine * vector[0] + sine * vector[2], vector[1].expand_as(vector[0]), cosine * vector[2] - sine * vector[0]]
    )


def _ball(start: torch.Tensor, direction: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    along = (start * direction).sum(0)
    inside = along**2 - (start**2).sum(0) + 1
    hit = torch.where(inside > 0, -along - inside.clamp_min(0).sqrt(), _FAR)
    return hit, start + hit * direction


def _cube(start: torch.Tensor, direction: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    safe = torch.where(direction.abs() < 1e-6, torch.full_like(direction, 1e-6), direction)
    first, second = (-CUBE - start) / safe, (CUBE - start) / safe
    enter, face = torch.minimum(first, second).max(0)
    leave = torch.maximum(first, second).amin(0)
    normal = torch.nn.functional.one_hot(face, 3).movedim(-1, 0) * -torch.sign(safe)
    return torch.where(enter < leave, enter, _FAR), normal


def _cylinder(start: torch.Tensor, direction: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    a = direction[0] ** 2 + direction[2] ** 2
    b = start[0] * direction[0] + start[2] * direction[2]
    c = start[0] ** 2 + start[2] ** 2 - CYLINDER**2
    inside = b**2 - a * c
    side = (-b - inside.clamp_min(0).sqrt()) / a
    side_point = start + side * direction
    side_hit = (inside > 0) & (side_point[1].abs() <= HEIGHT)
    top = (HEIGHT - start[1]) / direction[1]
    top_point = start + top * direction
    top_hit = top_point[0] ** 2 + top_point[2] ** 2 <= CYLINDER**2
    zero = torch.zeros_like(side)
    side_normal = torch.stack([side_point[0], zero, side_point[2]]) / CYLINDER
    top_normal = torch.stack([zero, zero + 1, zero])
    hit = torch.where(top_hit, top, torch.where(side_hit, side, _FAR))
    return hit, torch.where(top_hit, top_normal, side_normal)


def _cone(start: torch.Tensor, direction: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    slope = CONE_BASE / (2 * HEIGHT)
    below, fall = HEIGHT - start[1], -direction[1]
    a = direction[0] ** 2 + direction[2] ** 2 - (slope * fall) ** 2
    b = start[0] * direction[0] + start[2] * direction[2] - slope**2 * below * fall
    c = start[0] ** 2 + start[2] ** 2 - (slope * below) ** 2
    inside = b**2 - a * c
    root = inside.clamp_min(0).sqrt()
    candidates = torch.stack([(-b - root) / a, (-b + root) / a])
    depth_below = below + candidates * fall
    valid = (inside > 0) & (depth_below >= 0) & (depth_below <= 2 * HEIGHT)
    hit = torch.where(valid, candidates, _FAR).amin(0)
    point = start + hit * direction
    around = torch.stack([point[0], slope * (point[0] ** 2 + point[2] ** 2).sqrt(), point[2]])
    return hit, torch.nn.functional.normalize(around, dim=0)


_SOLIDS = (_ball, _cube, _cone, _cylinder)
