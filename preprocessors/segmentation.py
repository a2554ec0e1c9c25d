"""Segmentation as a hint: every pixel in the colour of its class (UniFormer, ADE20K)."""

import torch
from torch import Tensor, nn

from . import palettes
from .depth import estimate
from .description import Networks, Parameter, Preprocessor, Settings
from .networks import uniformer

_STRIP_VALUES = 1 << 24
"""Logits enlarged at a time: 64 MB, whatever the picture's size."""

_FINEST = 8
"""Places per cell of the logits, along each side, at which classes are told apart: borders of a large picture run
in steps of a few pixels, where 150 logits for each of its pixels would cost minutes."""


def uniformer_labels(images: Tensor, settings: Settings, networks: Networks) -> Tensor:
    """The class of every pixel, 0..149 in the order of ADE20K: (B, H, W, 3) in 0..1 -> (B, H, W) int64."""
    images_seen = images.flip(-1) if settings["reference_channels"] else images
    logits = estimate(images_seen, networks("uniformer"), int(settings["network_size"]), uniformer.MULTIPLE)
    height, width = images.shape[1:3]
    finest = _FINEST * logits.shape[2], _FINEST * logits.shape[3]
    labels = strongest_class(logits, min(height, finest[0]), min(width, finest[1]))
    if labels.shape[1:] != (height, width):
        whole = nn.functional.interpolate(labels[:, None].float(), (height, width), mode="nearest-exact")
        labels = whole[:, 0].long()
    return labels.to(images.device)


def strongest_class(logits: Tensor, height: int, width: int) -> Tensor:
    """Logits (B, classes, h, w), enlarged bilinearly, then the strongest class: (B, height, width) int64.

    Equals argmax of `interpolate(logits, (height, width), mode="bilinear")`, in strips of bounded memory.
    """
    batch, classes, coarse_height = logits.shape[:3]
    wide = nn.functional.interpolate(logits, (coarse_height, width), mode="bilinear", align_corners=False)
    y = (torch.arange(height, device=logits.device) + 0.5) * coarse_height / height - 0.5
    strips = []
    for part in y.clamp(0, coarse_height - 1).split(max(1, _STRIP_VALUES // (batch * classes * width))):
        above = part.long()
        below = (above + 1).clamp_max(coarse_height - 1)
        share = (part - above).view(-1, 1).to(wide)
        strips.append(torch.lerp(wide[:, :, above], wide[:, :, below], share).argmax(1))
    return torch.cat(strips, dim=1)


def _run(images: Tensor, settings: Settings, networks: Networks) -> Tensor:
    return palettes.paint(uniformer_labels(images, settings, networks), palettes.ade20k())


UNIFORMER = Preprocessor(
    id="uniformer_segmentation",
    label="UniFormer Segmentation",
    hint="segmentation",
    description="Every pixel in the colour of its class, of the 150 of ADE20K: wall, building, sky, floor, tree ...",
    run=_run,
    parameters=(
        Parameter(
            "network_size",
            "Network size",
            512,
            "Shorter side of the picture that the network sees; it was trained at 512. 0 = the picture's own size.",
            minimum=0,
            maximum=2048,
            step=2,
            unit="px",
        ),
        Parameter(
            "reference_channels",
            "Reference channels",
            False,
            "Give the network red and blue exchanged, as ControlNet's own annotator does by mistake.",
        ),
    ),
    weights=("uniformer",),
    aliases=("UniFormer-SemSegPreprocessor", "SemSegPreprocessor", "seg_ufade20k", "segmentation", "ADE20K"),
)
