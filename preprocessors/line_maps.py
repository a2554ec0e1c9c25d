"""Between pictures and the networks whose answer is one map of lines."""

from torch import Tensor, nn

from .networks.official import run_like


def line_map(network: nn.Module, images: Tensor) -> Tensor:
    """(B, H, W, 3) in 0..1 -> the network's lines, (B, H, W) float32 in 0..1, white on black."""
    return network(run_like(network, images.movedim(-1, 1)))[:, 0].float()


def as_hint(lines: Tensor) -> Tensor:
    """(B, H, W) -> three equal channels, (B, H, W, 3)."""
    return lines[..., None].expand(-1, -1, -1, 3)


def reduce_levels(lines: Tensor, steps: int) -> Tensor:
    """Values 0..1 in `steps` equal steps above black, 0 for all values as they are.

    ControlNet v1.1 `annotator/util.py`, `safe_step`: values from 1 - 1 / (steps + 1) up are white.
    """
    return (lines * (steps + 1)).floor_().div_(steps).clamp_(max=1) if steps else lines
