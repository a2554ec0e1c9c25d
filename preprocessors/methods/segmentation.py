"""Segmentation as a hint: every pixel in the color of its class (UniFormer, OneFormer; ADE20K, COCO)."""

import torch
from torch import Tensor, nn

from .. import palettes
from ..description import Hint, Inputs, Parameter, Preprocessor, Run
from ..estimate import estimate, network_size
from ..networks import oneformer, uniformer

_STRIP_VALUES = 1 << 24
"""Logits enlarged at a time: 64 MB, whatever the picture's size."""

_FINEST = 8
"""Places per cell of the logits, along each side, at which classes are told apart: borders of a large picture run
in steps of a few pixels, where 150 logits for each of its pixels would cost minutes."""


def uniformer_labels(inputs: Inputs) -> Tensor:
    """The class of every pixel, 0..149 in the order of ADE20K: (B, H, W) int64."""
    images_seen = inputs.images.flip(-1) if inputs.switch("reference_channels") else inputs.images
    logits = estimate(
        images_seen, inputs.networks("uniformer"), inputs.whole_number("network_size"), uniformer.MULTIPLE
    )
    return labels_like(inputs.images, logits)


def labels_like(images: Tensor, logits: Tensor) -> Tensor:
    """The strongest class (B, classes, h, w) at every pixel of pictures (B, H, W, 3): (B, H, W) int64."""
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


def painted(labels: Tensor, palette: Tensor) -> Hint:
    """The hint of classes (B, H, W): each pixel in the color that the palette (classes, 3) has for its class."""
    return Hint(palettes.paint(labels, palette), labels=labels)


def _run(inputs: Inputs) -> Hint:
    return painted(uniformer_labels(inputs), palettes.ade20k())


def _oneformer(row: str, palette: Tensor) -> Run:
    def run(inputs: Inputs) -> Hint:
        shares = estimate(inputs.images, inputs.networks(row), inputs.whole_number("network_size"), oneformer.MULTIPLE)
        return painted(labels_like(inputs.images, shares), palette)

    return run


UNIFORMER = Preprocessor(
    id="uniformer_segmentation",
    label="UniFormer Segmentation",
    hint="segmentation",
    description="Every pixel in the color of its class, of the 150 of ADE20K: wall, building, sky, floor, tree ...",
    run=_run,
    parameters=(
        network_size(512),
        Parameter(
            "reference_channels",
            "Reference channels",
            False,
            "Give the network red and blue exchanged, as ControlNet's own annotator does by mistake.",
        ),
    ),
    weights=("uniformer",),
    aliases=("UniFormer-SemSegPreprocessor", "SemSegPreprocessor", "seg_ufade20k", "segmentation", "ADE20K"),
    gives_labels=True,
)

ONEFORMER_ADE20K = Preprocessor(
    id="oneformer_ade20k",
    label="OneFormer Segmentation (ADE20K)",
    hint="segmentation",
    description="Every pixel in the color of its class, of the 150 of ADE20K, with finer borders than UniFormer's.",
    run=_oneformer("oneformer_ade20k", palettes.ade20k()),
    parameters=(network_size(640),),
    weights=("oneformer_ade20k",),
    aliases=("OneFormer-ADE20K-SemSegPreprocessor", "seg_ofade20k", "segmentation", "semantic map"),
    gives_labels=True,
)

ONEFORMER_COCO = Preprocessor(
    id="oneformer_coco",
    label="OneFormer Segmentation (COCO)",
    hint="segmentation",
    description="Every pixel in the color of its class, of the 133 of COCO: people, animals, vehicles, food ...",
    run=_oneformer("oneformer_coco", palettes.coco()),
    parameters=(network_size(800),),
    weights=("oneformer_coco",),
    aliases=("OneFormer-COCO-SemSegPreprocessor", "seg_ofcoco", "segmentation", "semantic map"),
    gives_labels=True,
)
