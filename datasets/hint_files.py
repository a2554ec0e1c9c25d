"""Hints as files: which formats there are, and how a hint becomes bytes of one."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import torch

if TYPE_CHECKING:
    import numpy as np

FormatName = Literal["png", "webp", "jpg"]
FORMATS: tuple[FormatName, ...] = get_args(FormatName)

FASTEST, FAST, SMALLEST = 0, 1, 9
JPEG_QUALITY = 95


@dataclass(frozen=True)
class HintFormat:
    """How hints are stored. PNG and WebP keep every value; JPEG does not, and is for depth maps and the like.

    effort: from `FASTEST` (PNG: not compressed) to `SMALLEST`; `FAST` writes PNG by run lengths, several times faster
    than the next, in which line drawings are as small.
    """

    name: FormatName = "png"
    effort: int = FAST

    def __post_init__(self) -> None:
        if not FASTEST <= self.effort <= SMALLEST:
            raise ValueError(f"effort is {self.effort}; it must be within {FASTEST}..{SMALLEST}.")

    @property
    def suffix(self) -> str:
        """The ending of the files' names."""
        return f".{self.name}"

    def encode(self, pixels: np.ndarray) -> bytes:
        """The bytes of a file. pixels: (H, W) or (H, W, 3) uint8; three equal channels are stored as one."""
        pixels = as_grey(pixels)
        return _encode_png(pixels, self.effort) if self.name == "png" else self._encode_with_pillow(pixels)

    def _encode_with_pillow(self, pixels: np.ndarray) -> bytes:
        from PIL import Image

        file = io.BytesIO()
        if self.name == "jpg":
            options = {"quality": JPEG_QUALITY, "subsampling": 0, "optimize": self.effort > FAST}
            Image.fromarray(pixels).save(file, "JPEG", **options)
        else:
            share = self.effort / SMALLEST
            Image.fromarray(pixels).save(
                file, "WEBP", lossless=True, quality=round(100 * share), method=round(6 * share)
            )
        return file.getvalue()


def as_grey(pixels: np.ndarray) -> np.ndarray:
    """(H, W) where three channels (H, W, 3) are equal; else as it is."""
    if pixels.ndim == 2:
        return pixels
    red, green, blue = torch.from_numpy(pixels).unbind(2)
    return pixels[..., 0] if torch.equal(red, green) and torch.equal(red, blue) else pixels


def _encode_png(pixels: np.ndarray, effort: int) -> bytes:
    import cv2

    # Named, a level chooses another strategy; unnamed, OpenCV writes run lengths.
    options = [] if effort == FAST else [cv2.IMWRITE_PNG_COMPRESSION, effort]
    encoded, content = cv2.imencode(".png", pixels if pixels.ndim == 2 else pixels[..., ::-1], options)
    if not encoded:
        raise ValueError(f"a hint of {pixels.shape[1]} x {pixels.shape[0]} pixels cannot be written as PNG")
    return content.tobytes()
