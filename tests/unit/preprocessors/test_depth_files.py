"""Depth in files: read back by FFmpeg and Pillow, with its metadata, and nothing is overwritten."""

import io
import json
import struct

import numpy as np
import pytest
import torch
from PIL import Image
from zeroconv.preprocessors.depth_files import DEPTH_FORMATS, DepthFileFormat, save_depth
from zeroconv.storage.exr import exr_bytes

DEPTH = np.random.default_rng(0).random((33, 47), np.float32) * 90 + 2


def read_exr(content: bytes) -> np.ndarray:
    """By FFmpeg, in the package that ComfyUI brings."""
    av = pytest.importorskip("av")
    with av.open(io.BytesIO(content), format="exr_pipe") as container:
        return next(container.decode(video=0)).to_ndarray()


@pytest.mark.parametrize("size", [(1, 1), (33, 47), (7, 500)])
def test_exr_holds_every_bit(size):
    values = np.random.default_rng(1).standard_normal(size).astype(np.float32) * 1000
    np.testing.assert_array_equal(read_exr(exr_bytes(values, {"prompt": "x" * 5000})), values)


def test_exr_is_read_by_the_library_of_its_authors(tmp_path):
    openexr = pytest.importorskip("OpenEXR")
    path = tmp_path / "depth.exr"
    path.write_bytes(exr_bytes(DEPTH, {"workflow": '{"ü": 1}'}))
    file = openexr.File(str(path))
    np.testing.assert_array_equal(file.channels()["Y"].pixels, DEPTH)
    assert file.header()["workflow"] == '{"ü": 1}'


def test_texts_of_an_exr_are_string_attributes():
    content = exr_bytes(DEPTH, {"prompt": "hällo"})
    text = "hällo".encode()
    assert b"prompt\0string\0" + struct.pack("<i", len(text)) + text in content


def test_png_tells_what_its_levels_mean():
    image = Image.open(io.BytesIO(DepthFileFormat("png16").encode(DEPTH, {"prompt": "{}"})))
    scale = json.loads(image.text["depth"])
    levels = np.asarray(image).astype(np.float64)
    assert (levels.min(), levels.max()) == (0, 65535)
    depth = scale["black"] + levels / 65535 * (scale["white"] - scale["black"])
    np.testing.assert_allclose(depth, DEPTH, atol=90 / 65535)
    assert image.text["prompt"] == "{}"


def test_png_in_millimeters_and_with_given_limits():
    levels = np.asarray(Image.open(io.BytesIO(DepthFileFormat("png16-mm").encode(DEPTH)))).astype(np.float64)
    np.testing.assert_allclose(levels, np.minimum(DEPTH * 1000, 65535), atol=0.51)
    levels = np.asarray(Image.open(io.BytesIO(DepthFileFormat("png16", (10.0, 20.0)).encode(DEPTH)))).astype(float)
    np.testing.assert_allclose(levels, np.interp(DEPTH, [10, 20], [0, 65535]), atol=0.51)
    flat = DepthFileFormat("png16").encode(np.full((4, 4), 3.0, np.float32))
    assert np.asarray(Image.open(io.BytesIO(flat))).max() == 0


@pytest.mark.parametrize("format", DEPTH_FORMATS)
def test_nothing_is_overwritten_and_a_batch_gets_the_next_numbers(tmp_path, format):
    (tmp_path / "shot_00007.txt").write_text("mine")
    seen = []
    first = save_depth(tmp_path, "shot", torch.rand(3, 8, 9), format, {}, lambda *counts: seen.append(counts))
    second = save_depth(tmp_path, "shot", torch.rand(1, 8, 9), format)
    assert [path.stem for path in [*first, *second]] == ["shot_00008", "shot_00009", "shot_00010", "shot_00011"]
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert (tmp_path / "shot_00007.txt").read_text() == "mine"


def test_the_frames_of_a_film_share_the_scale_of_a_png(tmp_path):
    film = torch.stack([torch.full((4, 5), 1.0), torch.full((4, 5), 3.0)])
    film[0, 0, 0] = 5.0
    paths = save_depth(tmp_path, "film", film, "png16")
    assert [int(np.asarray(Image.open(path))[3, 3]) for path in paths] == [0, 32768]


@pytest.mark.parametrize("name", ["../out", "a/b", "", "con", "a."])
def test_a_name_that_is_not_one_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="not a good name"):
        save_depth(tmp_path, name, torch.rand(1, 8, 9), "exr")
    assert not list(tmp_path.iterdir())
