"""The points of bodies in boxes of pictures: crops of all boxes of a batch, and points from what networks answer.

Sources: Li et al., "SimCC" (arXiv 2107.03332); constants of IDEA-Research/DWPose; Zhang et al., "Distribution-Aware
Coordinate Representation" (arXiv 1910.06278) for the reading of maps.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..networks import rtmpose, vitpose
from ..networks.official import device_of, run_like

CHUNK = 32
"""Boxes that pass the pose network together: about a gigabyte in single precision."""
_BLUR, _SIGMA = 11, 2.0
"""Cells of the blur before the peak of a map is refined, and its deviation."""
_LEAST, _MOST = 0.001, 50.0
_ROOM = 1.25
"""Width and height of the crop in those of the box."""


@dataclass(frozen=True)
class Reader:
    """A network that finds the points in crops, and the crops that it wants.

    read: crops (N, 3, height, width) in 0..1 -> x and y in pixels of the crop, and a score (N, points, 3). size: height
    and width of the crops. device: where it wants pictures. to_centers: a crop reaches from the center of its first
    pixel to that of its last ("unbiased data processing", Huang et al., arXiv 1911.07524), not from edge to edge.
    """

    read: Callable[[Tensor], Tensor]
    size: tuple[int, int]
    device: torch.device
    to_centers: bool = False


def find_landmarks(images: Tensor, owners: np.ndarray, boxes: np.ndarray, reader: Reader) -> np.ndarray:
    """The points in each box: (N, points, 3) as x and y in pixels of the picture, and a score.

    images: (B, H, W, 3) in 0..1. owners: (N,) the picture of each box. boxes: (N, 4) as left, top, right, bottom.
    """
    images = images.float().to(reader.device)
    found = []
    for start in range(0, len(boxes), CHUNK):
        part = slice(start, start + CHUNK)
        corners, scales = crop_places(boxes[part], reader.size, reader.to_centers)
        points = reader.read(crop(images, owners[part], corners, scales, reader.size)).cpu().double().numpy()
        points[..., :2] = corners[:, None] + scales[:, None] * points[..., :2]
        found.append(points)
    return np.concatenate(found)


def crop_places(boxes: np.ndarray, size: tuple[int, int], to_centers: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The crop around each box: left top corners and sizes of a pixel, (N, 2) each as x, y in pixels of the picture."""
    sides = np.array(size[::-1], np.float64)
    centers, extents = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) * _ROOM
    scales = (extents / sides).max(axis=1)
    extents = scales[:, None] * sides
    return centers - extents / 2, extents / (sides - 1 if to_centers else sides)


def crop(images: Tensor, owners: np.ndarray, corners: np.ndarray, scales: np.ndarray, size: tuple[int, int]) -> Tensor:
    """(N, 3, height, width) from pictures (B, H, W, 3), bilinear, black outside of them."""
    places = np.concatenate([corners, scales, owners[:, None]], axis=1)
    left, top, wide, high, owner = torch.from_numpy(places).float().to(images.device).T[..., None, None]
    columns = left + wide * torch.arange(size[1], device=images.device)
    rows = top + high * torch.arange(size[0], device=images.device)[:, None]
    # The pictures are the slices of one volume, so that one call cuts all boxes out of all of them.
    volume = images.permute(3, 0, 1, 2)[None]
    grid = torch.stack(torch.broadcast_tensors(columns, rows, owner), dim=-1)
    counts = grid.new_tensor([images.shape[2], images.shape[1], images.shape[0]])
    return nn.functional.grid_sample(volume, ((2 * grid + 1) / counts - 1)[None], align_corners=False)[0].movedim(0, 1)


def decode_points(across: Tensor, down: Tensor) -> Tensor:
    """Distributions over half pixels (N, points, bins) -> x and y in pixels of the crop, and a score (N, points, 3)."""
    best_x, best_y = across.float().max(-1), down.float().max(-1)
    places = torch.stack([best_x.indices, best_y.indices], dim=-1) / rtmpose.SPLIT
    return torch.cat([places, torch.minimum(best_x.values, best_y.values)[..., None]], dim=-1)


def rtmpose_reader(network: nn.Module, size: tuple[int, int]) -> Reader:
    """Crops of that height and width through an RTMPose."""

    def read(crops: Tensor) -> Tensor:
        return decode_points(*network(run_like(network, rtmpose.normalize(crops))))

    return Reader(read, size, device_of(network))


def vitpose_reader(network: nn.Module) -> Reader:
    """Crops through a ViTPose."""

    def read(crops: Tensor) -> Tensor:
        maps = network(run_like(network, vitpose.normalize(crops)))
        points = decode_maps(maps)
        cells = points.new_tensor([maps.shape[3] - 1, maps.shape[2] - 1])
        pixels = points.new_tensor([vitpose.WIDTH - 1, vitpose.HEIGHT - 1])
        return torch.cat([points[..., :2] * pixels / cells, points[..., 2:]], dim=-1)

    return Reader(read, (vitpose.HEIGHT, vitpose.WIDTH), device_of(network), to_centers=True)


def decode_maps(maps: Tensor) -> Tensor:
    """Maps (N, points, h, w) -> x and y in cells, and a score (N, points, 3).

    The peak of a map, moved by one step of Newton's method on the logarithm of the smoothed map, which is a parabola
    where the map is a Gaussian.
    """
    maps = maps.float()
    count, points, _, width = maps.shape
    scores, places = maps.flatten(2).max(-1)
    rows, columns = places // width, places % width
    logs = _smoothed(maps.flatten(0, 1)).clamp(_LEAST, _MOST).log()
    # Beyond its edges the map goes on as it ends.
    logs = nn.functional.pad(logs[None], (1, 1, 1, 1), mode="replicate")[0]
    index = torch.arange(count * points, device=maps.device)
    y, x = rows.flatten() + 1, columns.flatten() + 1

    def at(down: int, right: int) -> Tensor:
        return logs[index, y + down, x + right]

    slope = torch.stack([at(0, 1) - at(0, -1), at(1, 0) - at(-1, 0)], dim=-1) / 2
    across, down = at(0, 1) - 2 * at(0, 0) + at(0, -1), at(1, 0) - 2 * at(0, 0) + at(-1, 0)
    both = at(1, 1) - at(0, 1) - at(1, 0) + 2 * at(0, 0) - at(0, -1) - at(-1, 0) + at(-1, -1)
    curvature = torch.stack([across, both / 2, both / 2, down], dim=-1).unflatten(-1, (2, 2))
    curvature = curvature + torch.finfo(curvature.dtype).eps * torch.eye(2, device=maps.device)
    moves = torch.linalg.solve_ex(curvature, slope)[0].nan_to_num(0, 0, 0).clamp(-1, 1)
    peaks = torch.stack([columns, rows], dim=-1) - moves.unflatten(0, (count, points))
    return torch.cat([peaks, scores[..., None]], dim=-1)


def _smoothed(maps: Tensor) -> Tensor:
    """Maps (N, h, w) under a Gaussian, mirrored at their edges."""
    offsets = torch.arange(_BLUR, device=maps.device) - _BLUR // 2
    kernel = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    kernel = (kernel / kernel.sum()).to(maps)
    padded = nn.functional.pad(maps[:, None], (_BLUR // 2,) * 4, mode="reflect")
    across = nn.functional.conv2d(padded, kernel[None, None, None])
    return nn.functional.conv2d(across, kernel[None, None, :, None])[:, 0]
