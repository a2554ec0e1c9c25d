"""From a network's relative depth to the values of a depth hint."""

from torch import Tensor

FINER = ": more gives finer edges, but large surfaces may come apart"
"""The tooltip text about larger network sizes."""

_ROUNDING = 1e-3


def stretch(depth: Tensor) -> Tensor:
    """Every picture's depth (B, 1, H, W), 0 or more, to the whole range 0..1.

    All 0 for a picture whose depth varies less than the rounding of a network in half precision.
    """
    lowest, highest = depth.amin((1, 2, 3), keepdim=True), depth.amax((1, 2, 3), keepdim=True)
    span = highest - lowest
    flat = span <= _ROUNDING * highest
    return ((depth - lowest) / span.masked_fill(flat, 1)).masked_fill(flat, 0)
