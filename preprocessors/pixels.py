"""Between batches of tensors and the single arrays that OpenCV works on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .description import Hint, InBytes, Run

if TYPE_CHECKING:
    import numpy as np

HALVES_UP = 2.0**-10
"""Grey levels; makes a value half-way between two bytes the upper one, as in OpenCV's averages of bytes."""


def map_bytes(images: Tensor, function: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    """Apply a function on HWC uint8 arrays to each image of BHWC 0..1; its result as in `map_arrays`.

    Values are rounded, not cut off: an 8-bit picture comes back as exactly the bytes that it was made of.
    """
    return map_arrays(images.float(), lambda array: function(rounded_bytes(array)))


def rounded_bytes(picture: np.ndarray) -> np.ndarray:
    """HWC float32 0..1 to uint8."""
    import cv2

    return cv2.convertScaleAbs(picture, alpha=255, beta=HALVES_UP)


def run_in_bytes(method: InBytes) -> Run:
    """A method that computes in bytes as `Preprocessor.run`."""
    return lambda inputs: Hint(map_bytes(inputs.images, method(inputs.settings)))


def map_floats(images: Tensor, function: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    """Apply a function on HWC float32 arrays, 0..1, to each image of BHWC; its result as in `map_arrays`."""
    return map_arrays(images.float(), function)


def map_arrays(images: Tensor, function: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    """Apply a function to each image's array; HW or HWC results, uint8 0..255 or float 0..1, become BHWC 0..1."""
    hints: Tensor | None = None
    for index, array in enumerate(images.cpu().contiguous().numpy()):
        result = function(array)
        if hints is None:
            channels = result.shape[2] if result.ndim == 3 else 3
            hints = torch.empty(len(images), *result.shape[:2], channels)
        _write(result, hints[index].numpy())
    if hints is None:
        raise ValueError("The image batch is empty.")
    return hints


def _write(result: np.ndarray, hint: np.ndarray) -> None:
    """HW or HWC, uint8 or float, into HWC float32; one channel becomes three equal ones."""
    import cv2
    import numpy as np

    values = np.divide(result, 255, dtype=np.float32) if result.dtype == np.uint8 else result
    if values.ndim == 2:
        cv2.merge([values.astype(np.float32, copy=False)] * 3, hint)
    else:
        hint[:] = values
