"""Boxes of people and animals: a batch of pictures as YOLOX sees them, and the reading of its answer.

Sources: Ge et al., "YOLOX" (arXiv 2107.08430); constants of IDEA-Research/DWPose.
"""

import numpy as np
import torch
from torch import Tensor, nn

from ..networks.official import run_like
from ..networks.yolox import STRIDES

SIDE = 640
"""Width and height of what the detector sees, in pixels."""
CHUNK = 8
"""Pictures that pass the detector together: about a gigabyte in single precision."""
PEOPLE, ANIMALS = slice(0, 1), slice(14, 24)
"""Classes among the 80 of COCO: animals are bird, cat, dog, horse, sheep, cow, elephant, bear, zebra and giraffe."""
_GREY = 114.0
_OVERLAP = 0.45
_BOX, _CLASSES = 4, 5
"""A row of the detector's answer: a box, how sure there is something, and how sure it is of each class."""


def find_people(
    images: Tensor, network: nn.Module, minimum: float, reference_channels: bool, wanted: slice = PEOPLE
) -> list[np.ndarray]:
    """Boxes of people, or of what else is wanted, in each picture (B, H, W, 3) of 0..1.

    minimum: the score from which on a box counts, 0..1. reference_channels: show the detector, which was trained on
    blue, green, red, the colors in the other order, as the annotators do. wanted: the classes to look for.
    Returns (N, 4) for each, as left, top, right, bottom in its pixels.
    """
    boxes = []
    for part in images.split(CHUNK):
        entry, ratio = letterbox(part)
        entry = entry if reference_channels else entry.flip(1)
        (answer,) = network(run_like(network, entry))
        found = torch.cat([*decode_boxes(answer, wanted)], dim=-1).cpu().numpy()
        boxes += [_strongest(rows, minimum) / ratio for rows in found]
    return boxes


def whole_pictures(images: Tensor) -> list[np.ndarray]:
    """One box for each picture (B, H, W, 3), which holds all of it: as `find_people` gives them."""
    height, width = images.shape[1:3]
    return [np.array([[0.0, 0.0, width, height]])] * len(images)


def letterbox(images: Tensor) -> tuple[Tensor, float]:
    """(B, H, W, 3) in 0..1 -> (B, 3, 640, 640) in 0..255, filled up with grey; and how much larger a pixel became."""
    height, width = images.shape[1:3]
    ratio = SIDE / max(height, width)
    size = max(1, int(height * ratio)), max(1, int(width * ratio))
    small = nn.functional.interpolate(images.movedim(-1, 1), size=size, mode="bilinear", align_corners=False)
    return nn.functional.pad(small * 255, (0, SIDE - size[1], 0, SIDE - size[0]), value=_GREY), ratio


def decode_boxes(answer: Tensor, wanted: slice) -> tuple[Tensor, Tensor]:
    """YOLOX's rows (B, cells, 5 + classes) -> boxes (B, cells, 4) in pixels of its input, and scores (B, cells, 1)."""
    rows = answer.float()
    cells, strides = _cells(rows.device)
    centers, sizes = (rows[..., :2] + cells) * strides, rows[..., 2:_BOX].exp() * strides
    kinds = rows[..., _CLASSES:][..., wanted].amax(-1, keepdim=True)
    return torch.cat([centers - sizes / 2, centers + sizes / 2], dim=-1), rows[..., _BOX : _BOX + 1] * kinds


def _cells(device: torch.device) -> tuple[Tensor, Tensor]:
    """Column and row of every cell (cells, 2), and the stride of its level (cells, 1), the finest first."""
    cells, strides = [], []
    for stride in STRIDES:
        places = torch.arange(SIDE // stride, device=device, dtype=torch.float32)
        cells.append(torch.cartesian_prod(places, places).flip(1))
        strides.append(cells[-1].new_full((len(cells[-1]), 1), stride))
    return torch.cat(cells), torch.cat(strides)


def _strongest(rows: np.ndarray, minimum: float) -> np.ndarray:
    """Boxes (N, 4), the strongest first, without those that a stronger one overlaps by more than 0.45.

    rows: (cells, 5), the score last.
    """
    rows = rows[(rows[:, _BOX] > minimum) & np.isfinite(rows).all(1)]
    boxes = rows[:, :_BOX]
    left = list(rows[:, _BOX].argsort(kind="stable")[::-1])
    kept = []
    while left:
        best, *rest = left
        kept.append(best)
        low, high = np.maximum(boxes[best, :2], boxes[rest, :2]), np.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = (high - low).clip(0).prod(-1)
        areas = (boxes[[best, *rest], 2:] - boxes[[best, *rest], :2]).prod(-1)
        union = areas[0] + areas[1:] - shared
        left = [index for index, apart in zip(rest, shared <= _OVERLAP * union, strict=True) if apart]
    return boxes[kept]
