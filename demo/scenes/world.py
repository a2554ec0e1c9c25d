"""The world that the demonstration model knows: one or two solid shapes on a floor, and how to say it in words.

A batch of scenes is a structure of arrays, so that drawing numbers, captions and pictures stay vectorised.
Lengths are in picture units: the picture spans -1..1 in both directions.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import torch

SHAPES: tuple[str, ...] = ("ball", "cube", "cone", "cylinder")
COLORS: dict[str, tuple[float, float, float]] = {
    "red": (0.88, 0.10, 0.10),
    "green": (0.10, 0.65, 0.18),
    "blue": (0.12, 0.25, 0.90),
    "yellow": (0.96, 0.84, 0.10),
    "purple": (0.58, 0.14, 0.72),
    "turquoise": (0.10, 0.75, 0.85),
}
FLOORS: dict[str, tuple[float, float, float]] = {
    "white": (0.92, 0.92, 0.92),
    "grey": (0.52, 0.52, 0.52),
    "black": (0.12, 0.12, 0.12),
    "brown": (0.55, 0.36, 0.22),
}
COLOR_NAMES: tuple[str, ...] = tuple(COLORS)
FLOOR_NAMES: tuple[str, ...] = tuple(FLOORS)
SLOTS = 2
"""The most objects in a scene; slot 0 is the left one of two."""


@dataclass(frozen=True)
class Scenes:
    """A batch of N scenes with up to two objects each.

    `present` (N, 2) bool; `shape`, `color` (N, 2) and `floor` (N) are indices into `SHAPES`, `COLOR_NAMES`
    and `FLOOR_NAMES`; `centre` (N, 2, 2) is the middle of each object in the picture, x right and y up;
    `radius` (N, 2) half its height; `turn` (N, 2) its angle about the vertical in radians; `light` (N, 3) the
    unit vector towards the lamp.
    """

    present: torch.Tensor
    shape: torch.Tensor
    color: torch.Tensor
    floor: torch.Tensor
    centre: torch.Tensor
    radius: torch.Tensor
    turn: torch.Tensor
    light: torch.Tensor

    def __len__(self) -> int:
        return self.floor.shape[0]

    def __getitem__(self, index: slice | torch.Tensor) -> Scenes:
        return Scenes(**{name: value[index] for name, value in vars(self).items()})


def draw_scenes(count: int, seed: int, pair_share: float = 0.5) -> Scenes:
    """`count` scenes drawn with `seed`; `pair_share` of them (0..1) hold two objects, side by side."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*size: int) -> torch.Tensor:
        return torch.rand(*size, generator=generator)

    def choice(options: int, *size: int) -> torch.Tensor:
        return torch.randint(options, size, generator=generator)

    pair = uniform(count) < pair_share
    radius = torch.where(pair[:, None], 0.24 + 0.14 * uniform(count, SLOTS), 0.28 + 0.24 * uniform(count, SLOTS))
    room = (0.94 - radius).clamp_min(0)
    alone = (2 * uniform(count, SLOTS) - 1) * room
    inner, outer = radius + 0.04, room
    side = torch.tensor([-1.0, 1.0])
    beside = side * (inner + (outer - inner).clamp_min(0) * uniform(count, SLOTS))
    across = torch.where(pair[:, None], beside, alone)
    upward = (2 * uniform(count, SLOTS) - 1) * room
    lamp = torch.stack([-0.75 + 0.5 * uniform(count), torch.ones(count), 0.45 + 0.4 * uniform(count)], 1)
    return Scenes(
        present=torch.stack([torch.ones_like(pair), pair], 1),
        shape=choice(len(SHAPES), count, SLOTS),
        color=choice(len(COLORS), count, SLOTS),
        floor=choice(len(FLOORS), count),
        centre=torch.stack([across, upward], 2),
        radius=radius,
        turn=uniform(count, SLOTS) * torch.pi / 2,
        light=torch.nn.functional.normalize(lamp, dim=1),
    )


def captions(scenes: Scenes) -> list[str]:
    """The exact caption of every scene, such as "a red ball and a blue cube on a white floor"."""
    return [_caption(scenes, index) for index in range(len(scenes))]


def _caption(scenes: Scenes, index: int) -> str:
    objects = [
        f"a {COLOR_NAMES[int(scenes.color[index, slot])]} {SHAPES[int(scenes.shape[index, slot])]}"
        for slot in range(SLOTS)
        if scenes.present[index, slot]
    ]
    return f"{' and '.join(objects)} on a {FLOOR_NAMES[int(scenes.floor[index])]} floor"


def is_held_out(caption: str) -> bool:
    """Whether a caption is kept out of training (one in sixteen), to measure what the model makes of new ones."""
    return zlib.crc32(caption.encode()) % 16 == 0
