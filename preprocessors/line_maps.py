"""Between pictures and the networks whose answer is one map of lines: large pictures in tiles, where that is exact."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from .networks.official import run_like

TILE = 1024
"""Side of a tile in pixels, without its surroundings: about 1 GB in HED."""
WHOLE = 2
"""Pictures of up to so many tiles are not cut: the surroundings would cost more than they save. A network that sees far
says its own number (`whole_tiles`)."""


def line_map(network: nn.Module, images: Tensor) -> Tensor:
    """(B, H, W, 3) in 0..1 -> the network's lines, (B, H, W) float32 in 0..1, white on black.

    A network that says how far it looks (`reach`, pixels, a multiple of its strides) gets a large picture in tiles
    with that much around them: the same lines in bounded memory. Others see the whole picture.
    """
    reach = getattr(network, "reach", None)
    height, width = images.shape[1:3]
    if reach is None or height * width <= getattr(network, "whole_tiles", WHOLE) * TILE**2:
        return network(run_like(network, images.movedim(-1, 1)))[:, 0].float()
    lines = torch.empty(images.shape[:3])
    for rows, seen_rows, kept_rows in _spans(height, reach):
        for columns, seen_columns, kept_columns in _spans(width, reach):
            tile = run_like(network, images[:, seen_rows, seen_columns].movedim(-1, 1))
            lines[:, rows, columns] = network(tile)[:, 0, kept_rows, kept_columns].float().cpu()
    return lines


def _spans(length: int, reach: int) -> Iterator[tuple[slice, slice, slice]]:
    """Along one side, for each tile: its own pixels, those that the network sees, and its own among the seen."""
    for start in range(0, length, TILE):
        end = min(start + TILE, length)
        seen = max(0, start - reach), min(end + reach, length)
        yield slice(start, end), slice(*seen), slice(start - seen[0], end - seen[0])


def as_hint(lines: Tensor) -> Tensor:
    """(B, H, W) -> three equal channels, (B, H, W, 3)."""
    return lines[..., None].expand(-1, -1, -1, 3)


def reduce_levels(lines: Tensor, steps: int) -> Tensor:
    """Values 0..1 in `steps` equal steps above black, 0 for all values as they are.

    ControlNet v1.1 `annotator/util.py`, `safe_step`: values from 1 - 1 / (steps + 1) up are white.
    """
    return (lines * (steps + 1)).floor_().div_(steps).clamp_(max=1) if steps else lines
