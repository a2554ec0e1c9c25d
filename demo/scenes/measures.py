"""Whether a picture obeys: the colors that its caption names, the shape that its hint shows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .world import COLOR_NAMES, COLORS, FLOOR_NAMES, FLOORS, Scenes


@dataclass(frozen=True)
class Obedience:
    """Shares (0..1) of samples whose floor and whose objects' colors are those of the caption."""

    floor: float
    color: float
    count: int


def floor_colors(image: Tensor) -> Tensor:
    """The median color of the four corners of each picture (N, 3, S, S): (N, 3)."""
    edge = max(1, image.shape[-1] // 16)
    ends = slice(edge), slice(-edge, None)
    corners = [image[..., rows, columns].flatten(2) for rows in ends for columns in ends]
    return torch.cat(corners, 2).median(2).values


def floor_names(image: Tensor) -> list[str]:
    """The name nearest to the floor's color in each picture (N, 3, S, S)."""
    nearest = torch.cdist(floor_colors(image), torch.tensor(list(FLOORS.values()))).argmin(1)
    return [FLOOR_NAMES[index] for index in nearest.tolist()]


def object_mask(image: Tensor, threshold: float = 0.09) -> Tensor:
    """Where a picture (N, 3, S, S) shows an object's color rather than the floor's: (N, S, S) bool.

    Shade scales a color, so what counts is the part of a pixel's color that is not along the floor's.
    """
    floor = nn.functional.normalize(floor_colors(image), dim=1)[..., None, None]
    along = (image * floor).sum(1, keepdim=True)
    return (image - along * floor).norm(dim=1) > threshold


def color_name(image: Tensor, mask: Tensor) -> str | None:
    """The named color whose hue the masked pixels of one picture (3, S, S) have; None if too few are masked."""
    if mask.float().mean() < 0.01:
        return None
    mean = image[:, mask].mean(1)
    reference = torch.tensor(list(COLORS.values()))
    directions = nn.functional.normalize(reference - reference.mean(1, keepdim=True), dim=1)
    return COLOR_NAMES[int((directions @ nn.functional.normalize(mean - mean.mean(), dim=0)).argmax())]


def obedience(image: Tensor, scenes: Scenes) -> Obedience:
    """How well pictures of one-object captions follow them."""
    floors = [FLOOR_NAMES[index] == seen for index, seen in zip(scenes.floor.tolist(), floor_names(image), strict=True)]
    masks = object_mask(image)
    colors = [
        COLOR_NAMES[int(scenes.color[index, 0])] == color_name(image[index], masks[index])
        for index in range(len(scenes))
    ]
    return Obedience(sum(floors) / len(floors), sum(colors) / len(colors), len(scenes))


def agreement(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of masks (N, S, S): (N,)."""
    both, either = (first & second).flatten(1).sum(1), (first | second).flatten(1).sum(1)
    return both / either.clamp_min(1)
