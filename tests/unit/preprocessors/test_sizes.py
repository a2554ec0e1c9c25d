"""Sizes: aspect kept, padding hidden, nothing made up."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from zeroconv.preprocessors.description import Hint, Preprocessor
from zeroconv.preprocessors.running import Options, preprocess
from zeroconv.preprocessors.sizes import (
    LONGEST,
    MOST_PIXELS,
    Frame,
    as_rgb_on_white,
    pad,
    resize,
    resize_hint,
    working_size,
)

torch.set_num_threads(1)


def no_networks(name: str) -> torch.nn.Module:
    raise KeyError(name)


def photo(height: int, width: int, batch: int = 1, channels: int = 3) -> torch.Tensor:
    return torch.rand(batch, height, width, channels, generator=torch.Generator().manual_seed(height * width))


def method(run, multiple_of: int = 1, hint: str = "other") -> Preprocessor:
    return Preprocessor("test", "Test", hint, "", lambda inputs: Hint(run(inputs.images)), multiple_of=multiple_of)


@given(st.integers(16, 8192), st.integers(16, 8192), st.integers(16, 1024))
@settings(max_examples=200)
def test_the_shorter_side_is_the_resolution_and_the_aspect_is_kept(height, width, resolution):
    exact = max(height, width) * resolution / min(height, width)
    if round(exact) > LONGEST or round(exact) * resolution > MOST_PIXELS:
        with pytest.raises(ValueError, match="resolution"):
            working_size(height, width, resolution)
        return
    new_height, new_width = working_size(height, width, resolution)
    assert min(new_height, new_width) == resolution
    assert abs(max(new_height, new_width) - exact) <= 0.5


@given(st.integers(16, 200), st.integers(16, 200), st.sampled_from([1, 8, 14, 16, 32, 64, 256]))
@settings(max_examples=60)
def test_padding_reaches_the_network_and_never_the_result(height, width, multiple):
    seen = []

    def run(images):
        seen.append(tuple(images.shape[1:3]))
        return images

    image = photo(height, width)
    hint = preprocess(method(run, multiple), image, no_networks).image
    assert all(side % multiple == 0 for side in seen[0])
    assert torch.equal(hint, image)


def test_a_hint_of_half_size_is_cut_in_proportion():
    half = method(lambda images: images[:, ::2, ::2], multiple_of=64)
    assert preprocess(half, photo(100, 120), no_networks).image.shape == (1, 50, 60, 3)


def test_padding_mirrors_and_a_tiny_picture_is_padded_too():
    image = photo(20, 20)
    padded = pad(image, (24, 20))
    assert torch.equal(padded[:, 20:], image[:, 15:19].flip(1))
    assert pad(photo(16, 16), (64, 64)).shape == (1, 64, 64, 3)


def test_resize_is_opencvs_area_and_cubic():
    image = photo(40, 60)
    array = image[0].numpy()
    smaller = cv2.resize(array, (30, 20), interpolation=cv2.INTER_AREA)
    larger = cv2.resize(array, (90, 60), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    np.testing.assert_array_equal(resize(image, (20, 30))[0].numpy(), smaller)
    np.testing.assert_array_equal(resize(image, (60, 90))[0].numpy(), larger)


def test_enlarged_class_colors_and_edges_get_no_values_in_between():
    colors = torch.randint(0, 2, (1, 20, 20, 3)).float()
    for kind in ("segmentation", "edges", "lines", "scribble"):
        assert set(resize_hint(colors, (33, 47), kind).unique().tolist()) <= {0.0, 1.0}
    assert set(resize_hint(colors, (9, 11), "segmentation").unique().tolist()) <= {0.0, 1.0}
    assert resize_hint(colors, (33, 47), "depth").unique().numel() > 2


def test_a_single_line_does_not_vanish_when_shrunk():
    line = torch.zeros(1, 64, 64, 3)
    line[:, 31] = 1
    assert (resize_hint(line, (16, 16), "edges").amax(dim=(1, 3)) > 0).all()


def test_result_at_the_size_of_the_input():
    same = method(lambda images: images)
    image = photo(37, 53)
    assert preprocess(same, image, no_networks, options=Options(64)).image.shape == (1, 64, 92, 3)
    assert preprocess(same, image, no_networks, options=Options(64, "input")).image.shape == image.shape


def test_transparent_is_white_and_grey_becomes_three_channels():
    image = photo(16, 16, channels=4)
    expected = image[..., :3] * image[..., 3:] + 1 - image[..., 3:]
    torch.testing.assert_close(as_rgb_on_white(image), expected)
    assert torch.equal(as_rgb_on_white(torch.zeros(1, 16, 16, 4)), torch.ones(1, 16, 16, 3))
    assert as_rgb_on_white(photo(16, 16, channels=1)).shape == (1, 16, 16, 3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_is_an_error_that_says_so(value):
    image = photo(16, 16)
    image[0, 3, 3, 1] = value
    with pytest.raises(ValueError, match="NaN or infinite"):
        preprocess(method(lambda i: i), image, no_networks)


@pytest.mark.parametrize("size", [(15, 64), (64, 32_001), (8193, 8192)])
def test_a_side_out_of_range_is_an_error_with_the_size(size):
    with pytest.raises(ValueError, match=f"{size[1]}x{size[0]}"):
        Frame.plan(*size, 0, 1)


@pytest.mark.parametrize("resolution", [-1, 1, 15])
def test_a_tiny_resolution_is_an_error(resolution):
    with pytest.raises(ValueError, match="resolution"):
        working_size(64, 64, resolution)


def test_a_large_picture_is_taken_where_it_is_to_be_shrunk():
    """A panorama beyond the size that is processed: what counts is the picture that the method works on."""
    panorama = torch.zeros(1, 64, LONGEST + 2, 3)
    panorama[:, :, : LONGEST // 2] = 1
    hint = preprocess(method(lambda i: 1 - i), panorama, no_networks, options=Options(32)).image
    assert hint.shape == (1, 32, (LONGEST + 2) // 2, 3)
    assert hint[0, 16, 0, 0] == 0
    assert hint[0, 16, -1, 0] == 1


def test_an_image_with_gradients_is_taken():
    """Nodes that differentiate through images leave them with gradients."""
    image = photo(20, 24).requires_grad_()
    hint = preprocess(method(lambda i: 1 - i), image, no_networks, options=Options(32, "input")).image
    assert not hint.requires_grad
    assert hint.shape == image.shape
