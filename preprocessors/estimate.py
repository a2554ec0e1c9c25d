"""Networks that see a whole picture at a size of their own, whatever the picture's: depth, normals, classes."""

from torch import Tensor, nn

from .description import Parameter
from .networks.official import run_like

LARGEST = 2048
"""Upper limit of the shorter side that a network sees: attention over 16 megapixels would take hours."""

_LONGEST = 4
"""Limit of the longer side, in shorter sides: a strip of paper must not cost the memory of a poster."""


def network_size(default: int, trained: int = 0, more: str = "") -> Parameter:
    """The setting of how large the network sees the picture.

    trained: the size of its training where that is not the default. more: what a larger size does, for the tooltip.
    """
    return Parameter(
        "network_size",
        "Network size",
        default,
        f"Shorter side of the picture that the network sees; it was trained at {trained or default}{more}. "
        f"0 = the picture's own size, {LARGEST} at most.",
        minimum=0,
        maximum=LARGEST,
        step=2,
        unit="px",
    )


def estimate(images: Tensor, network: nn.Module, shorter_side: int, multiple: int) -> Tensor:
    """The output of a network for images (B, H, W, 3) in 0..1, at the size it sees: (B, C, h, w) float32.

    shorter_side, multiple: as `seen_by` takes them.
    """
    return network(seen_by(network, images, shorter_side, multiple)).float()


def seen_by(network: nn.Module, images: Tensor, shorter_side: int, multiple: int) -> Tensor:
    """Images (B, H, W, 3) in 0..1 as a network sees them: (B, 3, h, w) on its device and in its dtype.

    shorter_side: in pixels, 0 for the pictures' own, but LARGEST at most. multiple: of the sides that it sees.
    """
    height, width = images.shape[1:3]
    shorter, longer = min(height, width), max(height, width)
    if shorter_side:
        scale = min(shorter_side / shorter, _LONGEST * shorter_side / longer)
    else:
        scale = min(1.0, LARGEST / shorter)
    size = tuple(max(1, round(side * scale / multiple)) * multiple for side in (height, width))
    x = run_like(network, images.movedim(-1, 1))
    if x.shape[2:] != size:
        x = nn.functional.interpolate(x, size=size, mode="bicubic", antialias=True).clamp_(0, 1)
    return x


def to_image_size(values: Tensor, images: Tensor) -> Tensor:
    """(B, 1 or 3, h, w) -> (B, H, W, 3) of the size and on the device of `images`."""
    enlarged = nn.functional.interpolate(values, size=images.shape[1:3], mode="bilinear", align_corners=False)
    return enlarged.expand(-1, 3, -1, -1).movedim(1, -1).clamp(0, 1).to(images.device)
