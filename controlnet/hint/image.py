"""The hint image as networks take it."""

import torch
from torch import Tensor


def as_rgb_hint(image: Tensor) -> Tensor:
    """A hint with 1, 3 or 4 channels, (B, C, H, W) with values of 0..1, as (B, 3, H, W).

    Transparent parts count as not drawn: black. Raises ValueError for an empty picture or one with NaN.
    """
    if image.dim() != 4 or 0 in image.shape or image.shape[1] not in (1, 3, 4):
        batch, *sizes = tuple(image.shape)
        shape = (batch, *sizes[1:], sizes[0]) if sizes else (batch,)
        raise ValueError(f"The hint is not a picture: its shape is {shape}, expected (batch, height, width, 3).")
    if not torch.isfinite(image).all():
        raise ValueError("The hint image holds NaN or infinite values. Look at the node that made it.")
    if image.shape[1] == 4:
        return image[:, :3] * image[:, 3:]
    return image.expand(-1, 3, -1, -1) if image.shape[1] == 1 else image
