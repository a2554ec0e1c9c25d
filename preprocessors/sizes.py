"""Image sizes: into a method's working size and back, without changing the aspect or showing the padding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

SMALLEST, LARGEST = 16, 8192
"""Allowed lengths of a picture's shorter side in pixels."""
LONGEST = 32_000
"""Upper limit of the longer side: OpenCV's remapping takes no more."""
MOST_PIXELS = LARGEST**2
"""Upper limit of the image that a method works on. The image it is shrunk from may be larger."""

ResultSize = Literal["processing", "input"]
RESULT_SIZES: tuple[ResultSize, ...] = ("processing", "input")

SHARP_HINTS = ("edges", "lines", "scribble", "segmentation")
"""Kinds of hints with only a few values: enlarged without making up values in between."""


@dataclass(frozen=True)
class Frame:
    """The sizes that one picture goes through, each (height, width) in pixels."""

    given: tuple[int, int]
    working: tuple[int, int]
    padded: tuple[int, int]

    @classmethod
    def plan(cls, height: int, width: int, resolution: int, multiple_of: int) -> Frame:
        """resolution: of the shorter side, 0 for the picture's own. Raises ValueError for a size out of range."""
        if min(height, width) < SMALLEST:
            raise ValueError(
                f"The image is {width}x{height} pixels; each side must have {SMALLEST} or more. Enlarge it first."
            )
        working = working_size(height, width, resolution)
        padded = tuple(math.ceil(side / multiple_of) * multiple_of for side in working)
        return cls((height, width), working, (padded[0], padded[1]))


def working_size(height: int, width: int, resolution: int) -> tuple[int, int]:
    """(height, width) with the shorter side at `resolution` and the aspect kept to the nearest pixel.

    Raises ValueError for a resolution that is negative or tiny, and for a size that is too large.
    """
    if 0 < resolution < SMALLEST or resolution < 0:
        raise ValueError(f"resolution is {resolution}; use 0 for the image's own size, or {SMALLEST} and more.")
    factor = resolution / min(height, width) if resolution else 1
    working = (round(height * factor), round(width * factor))
    if max(working) > LONGEST or working[0] * working[1] > MOST_PIXELS:
        what = f"resolution {resolution} would make the image" if resolution else "The image is"
        raise ValueError(
            f"{what} {working[1]}x{working[0]} pixels; at most {MOST_PIXELS / 1e6:.0f} million can be processed, and "
            f"{LONGEST} along a side. {'Lower the' if resolution else 'Choose a'} resolution."
        )
    return working


def as_rgb_on_white(image: Tensor) -> Tensor:
    """BHWC with 1, 3 or 4 channels, 0..1 -> BHWC with 3; transparent parts become white. It may be `image` itself.

    Raises ValueError for anything else, and for NaN or infinite values.
    """
    if image.ndim != 4 or image.shape[-1] not in (1, 3, 4) or 0 in image.shape:
        raise ValueError(f"Expected an image (batch, height, width, 1, 3 or 4 channels), got {tuple(image.shape)}.")
    image = image.float()
    lowest, highest = image.aminmax()
    if not (torch.isfinite(lowest) and torch.isfinite(highest)):  # NaN spoils both
        raise ValueError("The image holds NaN or infinite values. Look at the node that made it, often a VAE in fp16.")
    if image.shape[-1] == 4:
        alpha = image[..., 3:]
        image = image[..., :3] * alpha + (1 - alpha)
    if lowest < 0 or highest > 1:
        image = image.clamp(0, 1)
    return image.expand(*image.shape[:-1], 3)


def resize(image: Tensor, size: Sequence[int]) -> Tensor:
    """A photograph, BHWC 0..1, to (height, width): OpenCV's area average to shrink, cubic to enlarge."""
    if tuple(image.shape[1:3]) == tuple(size):
        return image
    import cv2

    shrink = size[0] * size[1] < image.shape[1] * image.shape[2]
    interpolation = cv2.INTER_AREA if shrink else cv2.INTER_CUBIC
    return _each(image, size, interpolation).clamp_(0, 1)


def resize_hint(hint: Tensor, size: Sequence[int], kind: str) -> Tensor:
    """A hint, BHWC, to (height, width) without values that would mean something else.

    kind: the preprocessor's `hint`. Colors of a segmentation are classes: never mixed. Lines keep two values when
    enlarged; shrunk, they fade rather than break.
    """
    if tuple(hint.shape[1:3]) == tuple(size):
        return hint
    import cv2

    shrink = size[0] * size[1] < hint.shape[1] * hint.shape[2]
    if kind == "segmentation" or (kind in SHARP_HINTS and not shrink):
        return _each(hint, size, cv2.INTER_NEAREST_EXACT)
    return _each(hint, size, cv2.INTER_AREA if shrink else cv2.INTER_LINEAR)


def enlarge_smoothly(values: Tensor, size: Sequence[int]) -> Tensor:
    """A network's value for every pixel, (B, h, w), resized to its picture: bilinear."""
    return functional.interpolate(values[:, None], size=tuple(size), mode="bilinear", align_corners=False)[:, 0]


def pad(image: Tensor, size: Sequence[int]) -> Tensor:
    """Extend BHWC at the right and bottom to (height, width): mirrored where the picture is large enough."""
    below, right = size[0] - image.shape[1], size[1] - image.shape[2]
    if not below and not right:
        return image
    mirrored = below < image.shape[1] and right < image.shape[2]
    padded = functional.pad(image.movedim(-1, 1), (0, right, 0, below), "reflect" if mirrored else "replicate")
    return padded.movedim(1, -1)


def crop(hint: Tensor, frame: Frame) -> Tensor:
    """Cut the padding off again; a hint of another size than it was given is cut in proportion."""
    if frame.working == frame.padded:
        return hint
    height = round(hint.shape[1] * frame.working[0] / frame.padded[0])
    width = round(hint.shape[2] * frame.working[1] / frame.padded[1])
    return hint[:, :height, :width]


def _each(images: Tensor, size: Sequence[int], interpolation: int) -> Tensor:
    import cv2

    height, width = size
    resized = images.new_empty((images.shape[0], height, width, images.shape[3]), device="cpu")
    for index, image in enumerate(images.cpu().contiguous().numpy()):
        result = cv2.resize(image, (width, height), interpolation=interpolation)
        resized[index] = torch.from_numpy(result.reshape(height, width, -1))
    return resized
