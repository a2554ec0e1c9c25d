"""Picture files as people have them, read as they are seen: the one reader of commands and training.

Photographs lie as the camera was held (EXIF); grey of 16 bits and grey in floating point keep their range; palettes,
CMYK and transparency are resolved. Whatever is wrong with a file becomes a ValueError that names it.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..storage.names import name_of, printable

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MOST_PIXELS = 1 << 27
"""Upper limit of one image: 0.4 GB of memory as bytes, 1.6 GB as the float32 that methods work on."""

Photo = np.ndarray | Tensor
"""RGB in bytes, (H, W, 3) uint8, or (1, H, W, 3 or 4) float32 0..1."""

_ORIENTATION = 0x0112
"""The tag of EXIF; a picture with 5 or more lies on its side."""


@dataclass(frozen=True)
class NamedBytes:
    """The content of a picture file that lies within another file. name: for messages."""

    name: str
    content: bytes


PictureFile = Path | NamedBytes


class _RefusedPicture(ValueError):
    """A picture that could be read, and why it is not."""


_ROUNDING = 1.01
"""Floating point pictures of the range 0..1 may be brighter than white by this factor: overshoots of a resampling."""


def picture_size(path: PictureFile) -> tuple[int, int]:
    """Width and height as seen, in pixels, without decoding. Raises ValueError that names the file."""
    from PIL import Image

    with _named(path), Image.open(_ordinary(path)) as image:
        sideways = image.getexif().get(_ORIENTATION, 1) >= 5
        width, height = image.size
        return (height, width) if sideways else (width, height)


def open_picture(path: PictureFile) -> Picture:
    """The first frame of a picture, decoded and turned, in the mode of its file. Raises ValueError that names it."""
    from PIL import Image

    with _named(path), Image.open(_ordinary(path)) as image:
        width, height = image.size
        if width * height > MOST_PIXELS:
            raise _RefusedPicture(
                f"it has {width} x {height} pixels; at most {MOST_PIXELS / 1e6:.0f} million are read. Scale it first"
            )
        image.load()
        return _turned(image)


def read_picture(path: PictureFile) -> Tensor:
    """(1, H, W, 3 or 4) float32 0..1, the fourth channel the opacity. Raises ValueError that names the file."""
    image = open_picture(path)
    with _named(path):
        return _as_floats(image)


def read_photo(path: PictureFile) -> Photo:
    """The bytes of a picture in 8 bits without transparent parts; another as in `read_picture`.

    Raises ValueError that names the file.
    """
    image = open_picture(path)
    with _named(path):
        if _is_deep(image) or _is_transparent(image):
            return _as_floats(image)
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _as_floats(image: Picture) -> Tensor:
    if _is_deep(image):
        grey = torch.from_numpy(_grey(image))
        return grey[None, :, :, None].expand(-1, -1, -1, 3)
    mode = "RGBA" if _is_transparent(image) else "RGB"
    return torch.from_numpy(np.asarray(image.convert(mode), dtype=np.float32) / 255)[None]


def read_rgb(path: PictureFile) -> Picture:
    """The picture in 8 bits, transparent parts on white. Raises ValueError that names the file."""
    from PIL import Image

    image = open_picture(path)
    with _named(path):
        if _is_deep(image):
            return Image.fromarray((_grey(image) * 255).round().astype(np.uint8)).convert("RGB")
        if _is_transparent(image):
            rgba = image.convert("RGBA")
            return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
        return image.convert("RGB")


def _ordinary(path: PictureFile) -> Path | io.BytesIO:
    """Where Pillow reads: a path, if nothing else than a file lies there: a pipe would be waited for without end."""
    if isinstance(path, NamedBytes):
        return io.BytesIO(path.content)
    if path.exists() and not path.is_file():
        raise _RefusedPicture("it is a folder or a device, not a file")
    return path


@contextmanager
def _named(path: PictureFile) -> Iterator[None]:
    """Whatever a damaged file makes Pillow raise, as a ValueError with the file's name."""
    try:
        # Pillow warns of harmless damage, and of large pictures, for which MOST_PIXELS is the limit.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except Exception as error:  # its readers raise SyntaxError, struct.error, zlib.error, IndexError and more
        name = f"'{printable(path.name)}'" if isinstance(path, NamedBytes) else name_of(path)
        raise ValueError(f"{name} cannot be read: {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, _RefusedPicture):
        return str(error)
    if isinstance(error, UnidentifiedImageError):
        return "it is not a picture of a known format"
    if isinstance(error, FileNotFoundError):
        return "it is not there any more"
    return "it may not be opened" if isinstance(error, PermissionError) else "it is damaged or cut off"


def _turned(image: Picture) -> Picture:
    """As the camera was held; as stored where the EXIF data are damaged."""
    from PIL import ImageOps

    try:
        # Most pictures lie as they were taken; turning would copy them all the same.
        return image if image.getexif().get(_ORIENTATION, 1) == 1 else ImageOps.exif_transpose(image)
    except Exception:  # see _named
        return image


def _is_transparent(image: Picture) -> bool:
    return "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info


def _is_deep(image: Picture) -> bool:
    """Whether it is grey of more than 8 bits, which Pillow cuts off instead of scaling."""
    return image.mode == "F" or image.mode.startswith("I")


def _grey(image: Picture) -> np.ndarray:
    """Grey of 16 bits, or in floating point within 0..1 or 0..255: (H, W) float32 0..1.

    Raises ValueError for other ranges: nobody can tell which value is white.
    """
    values = np.asarray(image)
    lowest, highest = float(values.min()), float(values.max())
    if image.mode == "F":
        white, ranges = (1.0 if highest <= _ROUNDING else 255.0), "0..1 or 0..255"
    else:
        white, ranges = 65535.0, "0..65535"
    if not (lowest >= 0 and highest <= white * _ROUNDING):  # NaN too
        raise _RefusedPicture(f"its values go from {lowest:g} to {highest:g}; scale them to {ranges} first")
    return np.clip(values.astype(np.float32) / np.float32(white), 0, 1)
