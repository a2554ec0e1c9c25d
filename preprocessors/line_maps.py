"""Between pictures and the networks whose answer is one map of lines: large pictures in tiles, where that is exact."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from .description import Networks, Parameter
from .networks.blocks.tiled import TiledNetwork
from .networks.official import run_like

SAFE_STEPS = 2
SAFE = Parameter(
    "safe",
    "Safe",
    False,
    "Only black, grey and white. Grey values can carry a faint copy of the picture; this takes it out.",
)

TILE = 1024
"""Side of a tile in pixels, without its surroundings: about 1 GB in HED."""


def line_map(network: nn.Module, images: Tensor) -> Tensor:
    """(B, H, W, 3) in 0..1 -> the network's lines, (B, H, W) float32 in 0..1, white on black.

    A `TiledNetwork` gets a large picture in tiles, with its reach around each: the same lines in bounded memory.
    Other networks see the whole picture.
    """
    height, width = images.shape[1:3]
    if not isinstance(network, TiledNetwork) or height * width <= network.whole_tiles * TILE**2:
        return network(run_like(network, images.movedim(-1, 1)))[:, 0].float()
    lines = torch.empty(images.shape[:3])
    for rows, seen_rows, kept_rows in _spans(height, network.reach):
        for columns, seen_columns, kept_columns in _spans(width, network.reach):
            tile = run_like(network, images[:, seen_rows, seen_columns].movedim(-1, 1))
            lines[:, rows, columns] = network(tile)[:, 0, kept_rows, kept_columns].float().cpu()
    return lines


def _spans(length: int, reach: int) -> Iterator[tuple[slice, slice, slice]]:
    """Along one side, for each tile: its own pixels, those that the network sees, and its own among the seen."""
    for start in range(0, length, TILE):
        end = min(start + TILE, length)
        seen = max(0, start - reach), min(end + reach, length)
        yield slice(start, end), slice(*seen), slice(start - seen[0], end - seen[0])


def three_channels(lines: Tensor) -> Tensor:
    """(B, H, W) -> three equal channels, (B, H, W, 3)."""
    return lines[..., None].expand(-1, -1, -1, 3)


def reduce_levels(lines: Tensor, steps: int) -> Tensor:
    """Values 0..1 in `steps` equal steps above black, 0 for all values as they are.

    ControlNet v1.1 `annotator/util.py`, `safe_step`: values from 1 - 1 / (steps + 1) up are white.
    """
    return (lines * (steps + 1)).floor_().div_(steps).clamp_(max=1) if steps else lines


def soft_edges(images: Tensor, row: str, safe_steps: int, networks: Networks) -> Tensor:
    """Edges of (B, H, W, 3) by the network of a row of weights.toml: (B, H, W) in 0..1, white on black."""
    return reduce_levels(line_map(networks(row), images), safe_steps)
