"""Hints as files: every value kept, grey as grey, small where time is given."""

import io

import numpy as np
import pytest
from PIL import Image
from skimage import data
from zeroconv.datasets.hint_files import HintFormat

COLORS = data.astronaut()[:120, :150].copy()
GREY = COLORS[..., 0].copy()


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize("effort", [0, 1, 5, 9])
@pytest.mark.parametrize("name", ["png", "webp"])
def test_png_and_webp_keep_every_value(name, effort):
    encoding = HintFormat(name, effort)
    np.testing.assert_array_equal(np.asarray(opened(encoding.encode(COLORS))), COLORS)
    np.testing.assert_array_equal(np.asarray(opened(encoding.encode(GREY)).convert("L")), GREY)


def test_jpeg_is_near():
    picture = np.asarray(opened(HintFormat("jpg").encode(COLORS))).astype(int)
    assert np.abs(picture - COLORS).mean() < 3


@pytest.mark.parametrize("name", ["png", "jpg"])
def test_three_equal_channels_are_stored_as_grey(name):
    assert opened(HintFormat(name).encode(GREY[..., None].repeat(3, 2))).mode == "L"
    assert opened(HintFormat(name).encode(COLORS)).mode == "RGB"


@pytest.mark.parametrize("name", ["png", "webp"])
def test_more_effort_gives_a_smaller_file(name):
    assert len(HintFormat(name, 9).encode(COLORS)) < len(HintFormat(name, 0).encode(COLORS))


def test_an_effort_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match=r"effort is 10.*0\.\.9"):
        HintFormat("png", 10)
