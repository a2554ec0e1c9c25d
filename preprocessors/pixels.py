"""Between batches of tensors and the single arrays that OpenCV works on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    import numpy as np

HALVES_UP = 2.0**-10
"""Grey levels; makes a value half-way between two bytes the upper one, as in OpenCV's averages of bytes."""


def map_bytes(images: Tensor, function: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    """Apply a function on HWC uint8 arrays to each image of BHWC 0..1; its result as in `map_arrays`.

    Values are rounded, not cut off: an 8-bit picture comes back as exactly the bytes that it was made of.
    """
    import cv2

    return map_arrays(images.float(), lambda array: function(cv2.convertScaleAbs(array, alpha=255, beta=HALVES_UP)))


def map_floats(images: Tensor, function: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    """Apply a function on HWC float32 arrays, 0..1, to each image of BHWC; its result as in `map_arrays`."""
    return map_arrays(images.float(), function)


def map_arrays(images: Tensor, function: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    """Apply a function to each image's array; HW or HWC results, uint8 0..255 or float 0..1, become BHWC 0..1."""
    return torch.stack([_as_hint(function(array)) for array in images.cpu().contiguous().numpy()])


def _as_hint(array: np.ndarray) -> Tensor:
    """HW or HWC -> HWC float32 with three channels."""
    hint = torch.from_numpy(array)
    hint = hint.float().div_(255) if hint.dtype == torch.uint8 else hint.float()
    return hint[..., None].expand(-1, -1, 3) if hint.ndim == 2 else hint
