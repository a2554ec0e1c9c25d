"""Padding as TensorFlow's `SAME`: the output of a stride has ceil(size / stride) cells, whatever the kernel."""

from torch import Tensor, nn


def pad_same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Zeros around (B, C, H, W); an odd one goes to the right and to the bottom."""
    height, width = (max((-(-size // stride) - 1) * stride + kernel - size, 0) for size in x.shape[2:])
    if not height and not width:
        return x
    return nn.functional.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
