"""Strokes to pixels: the sketch pad's picture, byte for byte.

A stroke covers a pixel by how far the pixel's centre lies inside of the stroke's edge, from 0 half a pixel outside to
1 half a pixel inside; where parts of a stroke overlap, the greatest coverage counts. Strokes then lie over each other
(Porter and Duff 1984, "over" with premultiplied colours; the eraser is "destination out"). All steps are the same
double and integer operations in the same order as in js/sketch/raster.js, so the browser shows what a run returns.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .drawing import Drawing, Point, Stroke

FILL_TOLERANCE = 128
"""Greatest difference in a channel to the seed's pixel that a fill still spreads over: half of an edge's softness."""

Bytes = NDArray[np.uint8]
Window = tuple[slice, slice]
"""Rows and columns that a stroke changes."""


def render(drawing: Drawing, progress: Callable[[int, int], None] | None = None) -> tuple[Tensor, Tensor]:
    """A drawing as IMAGE (1, H, W, 3) and MASK (1, H, W), both float32 0..1.

    The mask is 1 where something is drawn. progress(done, total) is called after each stroke.
    """
    layer = np.zeros((drawing.height, drawing.width, 4), np.uint8)
    for place, stroke in enumerate(drawing.strokes, 1):
        coverage = np.zeros(layer.shape[:2], np.uint8)
        if window := cover(stroke, layer, coverage):
            lay(stroke, layer[window], coverage[window])
        if progress:
            progress(place, len(drawing.strokes))
    alpha = layer[..., 3].astype(np.int32)
    paper = np.array(drawing.paper, np.int32)
    image = layer[..., :3] + _divide(paper * (255 - alpha[..., None]))
    return torch.from_numpy(image).float()[None] / 255, torch.from_numpy(alpha).float()[None] / 255


def cover(stroke: Stroke, layer: Bytes, coverage: Bytes) -> Window | None:
    """Write how far a stroke covers each pixel into coverage (H, W), 0..255; returns the window that it touches."""
    height, width = coverage.shape
    windows: list[Window | None] = []
    for points in _mirrored(stroke, width, height):
        if stroke.tool == "fill":
            windows.append(_flood(points[0], layer, coverage))
        else:
            ends = points[1:] or points
            windows += [_segment(first, second, coverage) for first, second in zip(points, ends, strict=False)]
    touched = [window for window in windows if window]
    if not touched:
        return None
    rows, columns = zip(*touched, strict=True)
    return _union(rows), _union(columns)


def lay(stroke: Stroke, layer: Bytes, coverage: Bytes) -> None:
    """Lay a stroke over a premultiplied RGBA layer (H, W, 4), or take it out of it, by its coverage (H, W)."""
    amount = coverage[..., None].astype(np.int32)
    source = np.array((*stroke.color, 255) if stroke.tool != "eraser" else (0, 0, 0, 0), np.int32)
    layer[:] = _divide(source * amount + layer * (255 - amount))


def _divide(value: NDArray[np.int32]) -> NDArray[np.int32]:
    """Divide by 255, to the nearest."""
    return (value + 127) // 255


def _union(slices: tuple[slice, ...]) -> slice:
    return slice(min(part.start for part in slices), max(part.stop for part in slices))


def _mirrored(stroke: Stroke, width: int, height: int) -> Iterator[tuple[Point, ...]]:
    yield stroke.points
    if "x" in stroke.mirror:
        yield tuple((width - x, y, radius) for x, y, radius in stroke.points)
    if "y" in stroke.mirror:
        yield tuple((x, height - y, radius) for x, y, radius in stroke.points)
    if stroke.mirror == "xy":
        yield tuple((width - x, height - y, radius) for x, y, radius in stroke.points)


def _segment(first: Point, second: Point, coverage: Bytes) -> Window | None:
    """Cover a line with round ends whose radius changes evenly from its first to its second point."""
    (x, y, radius), (x2, y2, radius2) = first, second
    reach = max(radius, radius2) + 1
    rows = _span(min(y, y2) - reach, max(y, y2) + reach, coverage.shape[0])
    columns = _span(min(x, x2) - reach, max(x, x2) + reach, coverage.shape[1])
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return None
    dx, dy = x2 - x, y2 - y
    length = dx * dx + dy * dy
    px = np.arange(columns.start, columns.stop)[None, :] + 0.5
    py = np.arange(rows.start, rows.stop)[:, None] + 0.5
    along = np.clip(((px - x) * dx + (py - y) * dy) / (length or 1.0), 0.0, 1.0)
    ex, ey = px - (x + along * dx), py - (y + along * dy)
    inside = (radius + along * (radius2 - radius)) - np.sqrt(ex * ex + ey * ey) + 0.5
    part = np.floor(np.clip(inside, 0.0, 1.0) * 255 + 0.5).astype(np.uint8)
    np.maximum(coverage[rows, columns], part, out=coverage[rows, columns])
    return rows, columns


def _span(low: float, high: float, edge: int) -> slice:
    """Whole pixels from low to high that lie on the canvas."""
    return slice(max(0, int(np.floor(low))), min(edge, int(np.ceil(high))))


def _flood(seed: Point, layer: Bytes, coverage: Bytes) -> Window | None:
    """Cover the 4-connected region around the seed whose pixels are like the seed's."""
    import cv2

    column, row = int(np.floor(seed[0])), int(np.floor(seed[1]))
    height, width = coverage.shape
    if not (0 <= row < height and 0 <= column < width):
        return None
    difference = np.abs(layer.astype(np.int32) - layer[row, column].astype(np.int32)).max(axis=2)
    alike = (difference < FILL_TOLERANCE).astype(np.uint8)
    _, labels = cv2.connectedComponents(alike, connectivity=4)
    region = labels == labels[row, column]
    coverage[region] = 255
    rows, columns = np.flatnonzero(region.any(axis=1)), np.flatnonzero(region.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
