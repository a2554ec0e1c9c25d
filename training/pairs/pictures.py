"""Pictures of a data set: files, or tensors in memory."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...preprocessors.pictures import picture_size, read_rgb


class Picture(Protocol):
    """A picture that can be opened."""

    @property
    def name(self) -> str:
        """Its name in messages."""
        ...

    def digest(self) -> str:
        """Changes with the content."""
        ...

    def size(self) -> tuple[int, int]:
        """Width and height as seen, in pixels, without decoding where possible. Raises ValueError by name."""
        ...

    def open(self) -> Image.Image:
        """The picture in RGB. Raises ValueError that names it."""
        ...


@dataclass(frozen=True)
class FilePicture:
    """A picture in a file; rotated as its EXIF data say, transparent parts on white."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    def digest(self) -> str:
        return hashlib.blake2b(self.path.read_bytes(), digest_size=16).hexdigest()

    def size(self) -> tuple[int, int]:
        return picture_size(self.path)

    def open(self) -> Image.Image:
        return read_rgb(self.path)


@dataclass(frozen=True)
class TensorPicture:
    """A picture in memory: (H, W, 3) float32, 0..1."""

    name: str
    pixels: Tensor

    def digest(self) -> str:
        return hashlib.blake2b(self.pixels.cpu().contiguous().numpy().tobytes(), digest_size=16).hexdigest()

    def size(self) -> tuple[int, int]:
        return self.pixels.shape[1], self.pixels.shape[0]

    def open(self) -> Image.Image:
        return to_image(self.pixels)


def to_tensor(image: Image.Image) -> Tensor:
    """RGB to (3, H, W) uint8."""
    return torch.from_numpy(np.array(image, np.uint8)).permute(2, 0, 1).contiguous()


def to_image(pixels: Tensor) -> Image.Image:
    """(H, W, 3), 0..1 to RGB."""
    return Image.fromarray(pixels.detach().float().clamp(0, 1).mul(255).round().byte().cpu().numpy())
