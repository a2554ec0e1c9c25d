"""The one reader of picture files: damaged ones are refused by name, the others read alike by both its ways."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from zeroconv.preprocessors import pictures
from zeroconv.preprocessors.pictures import picture_size, read_picture, read_rgb

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "I;16", "I;16B", "I", "F")


def encoded(kind: str) -> bytes:
    """A photograph-like picture of 24 x 40 pixels, with EXIF data where the format has them."""
    content = np.random.default_rng(0).integers(0, 255, (40, 24, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "camera"
    file = io.BytesIO()
    more = {"exif": exif} if kind in ("PNG", "JPEG", "WEBP", "TIFF") else {}
    Image.fromarray(content).save(file, kind, **more)
    return file.getvalue()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", FORMATS)
def test_a_damaged_file_is_read_or_refused_by_name(kind: str, tmp_path: Path) -> None:
    """Bytes changed, cut, put in or taken out by chance: no exception of Pillow's own gets out, and no warning."""
    whole, generator = encoded(kind), np.random.default_rng(1)
    path = tmp_path / f"damaged {kind}"
    refused = 0
    for _ in range(150):
        content = bytearray(whole)
        for _ in range(generator.integers(1, 8)):
            place = int(generator.integers(0, min(len(content), 400)))
            content[place : place + int(generator.integers(0, 3))] = generator.bytes(int(generator.integers(0, 3)))
        path.write_bytes(content if generator.random() < 0.7 else content[: generator.integers(0, len(content))])
        for read in (read_picture, read_rgb, picture_size):
            try:
                read(path)
            except ValueError as error:
                refused += 1
                assert str(error).startswith(f"'{path.name}' cannot be read: "), error  # noqa: PT017
    assert refused > 10


@pytest.mark.parametrize("mode", MODES)
def test_both_ways_of_reading_agree_in_every_mode(mode: str, tmp_path: Path) -> None:
    """Tensors for methods, Pillow's pictures for training: the same within half a level of 8 bits."""
    grey = np.linspace(0, 65535, 24 * 40).reshape(40, 24)
    if mode in ("I;16", "I;16B", "I", "F"):
        kinds = {"I;16": np.uint16, "I;16B": ">u2", "I": np.int32, "F": np.float32}
        image = Image.fromarray((grey / 65535 if mode == "F" else grey).astype(kinds[mode]))
    else:
        image = Image.open(io.BytesIO(encoded("PNG"))).convert(mode)
    path = tmp_path / "picture.tif"
    image.save(path)
    assert picture_size(path) == (24, 40)
    tensor, rgb = read_picture(path), read_rgb(path)
    assert tensor.dtype == torch.float32
    assert tensor.shape[:3] == (1, 40, 24)
    assert (rgb.mode, rgb.size) == ("RGB", (24, 40))
    color, opacity = tensor[0, ..., :3], tensor[0, ..., 3:] if tensor.shape[3] == 4 else torch.ones(40, 24, 1)
    seen = color * opacity + 1 - opacity
    np.testing.assert_allclose(np.asarray(rgb), seen.numpy() * 255, atol=1.01 if "A" in mode else 0.51)


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "large.png"
    Image.new("1", (300, 200)).save(path)
    monkeypatch.setattr(pictures, "MOST_PIXELS", 50_000)
    monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("decoded"))
    with pytest.raises(ValueError, match=r"large\.png.*300 x 200"):
        read_picture(path)
