"""The points of bodies in boxes of pictures: crops of all boxes of a batch, and points from what RTMPose answers.

Sources: Li et al., "SimCC" (arXiv 2107.03332); constants of IDEA-Research/DWPose.
"""

import numpy as np
import torch
from torch import Tensor, nn

from ..networks.official import run_like
from ..networks.rtmpose import SPLIT, normalize

CHUNK = 32
"""Boxes that pass the pose network together: about a gigabyte in single precision."""
_ROOM = 1.25
"""Width and height of the crop in those of the box."""


def find_landmarks(
    images: Tensor, owners: np.ndarray, boxes: np.ndarray, network: nn.Module, size: tuple[int, int]
) -> np.ndarray:
    """The points in each box: (N, points, 3) as x and y in pixels of the picture, and a score.

    images: (B, H, W, 3) in 0..1. owners: (N,) the picture of each box. boxes: (N, 4) as left, top, right, bottom.
    size: height and width of the crop that the network sees.
    """
    found = []
    for start in range(0, len(boxes), CHUNK):
        part = slice(start, start + CHUNK)
        corners, scales = crop_places(boxes[part], size)
        crops = normalize(crop(images, owners[part], corners, scales, size))
        points = decode_points(*network(run_like(network, crops))).cpu().double().numpy()
        points[..., :2] = corners[:, None] + scales[:, None, None] * points[..., :2]
        found.append(points)
    return np.concatenate(found)


def crop_places(boxes: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The crop around each box, in pixels of the picture: left top corners (N, 2) as x, y; widths of a pixel (N,)."""
    sides = np.array(size[::-1], np.float64)
    centers, extents = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) * _ROOM
    scales = (extents / sides).max(axis=1)
    return centers - scales[:, None] * sides / 2, scales


def crop(images: Tensor, owners: np.ndarray, corners: np.ndarray, scales: np.ndarray, size: tuple[int, int]) -> Tensor:
    """(N, 3, height, width) from pictures (B, H, W, 3), bilinear, black outside of them."""
    places = np.concatenate([corners, owners[:, None], scales[:, None]], axis=1)
    left, top, owner, scale = torch.from_numpy(places).float().to(images.device).T[..., None, None]
    columns = left + scale * torch.arange(size[1], device=images.device)
    rows = top + scale * torch.arange(size[0], device=images.device)[:, None]
    # The pictures are the slices of one volume, so that one call cuts all boxes out of all of them.
    volume = images.permute(3, 0, 1, 2)[None]
    grid = torch.stack(torch.broadcast_tensors(columns, rows, owner), dim=-1)
    counts = grid.new_tensor([images.shape[2], images.shape[1], images.shape[0]])
    return nn.functional.grid_sample(volume, ((2 * grid + 1) / counts - 1)[None], align_corners=False)[0].movedim(0, 1)


def decode_points(across: Tensor, down: Tensor) -> Tensor:
    """Distributions over half pixels (N, points, bins) -> x and y in pixels of the crop, and a score (N, points, 3)."""
    best_x, best_y = across.float().max(-1), down.float().max(-1)
    places = torch.stack([best_x.indices, best_y.indices], dim=-1) / SPLIT
    return torch.cat([places, torch.minimum(best_x.values, best_y.values)[..., None]], dim=-1)
