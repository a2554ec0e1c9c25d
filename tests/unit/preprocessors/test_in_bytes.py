"""Methods that compute in bytes: from file to file without floats, and bit for bit what the floats give."""

import cv2
import numpy as np
import pytest
import torch
from skimage import data
from zeroconv.preprocessors.catalogue import preprocessors
from zeroconv.preprocessors.running import Options, preprocess, preprocess_bytes, to_bytes

IN_BYTES = [method for method in preprocessors().values() if method.in_bytes is not None]


def photographs() -> list[np.ndarray]:
    noise = np.random.default_rng(0).integers(0, 256, (61, 83, 3), np.uint8)
    ramp = np.arange(256, dtype=np.uint8).repeat(16 * 3).reshape(16, 256, 3)
    grey = np.full((40, 40, 3), 127, np.uint8)
    return [data.astronaut()[:150, :200].copy(), noise, ramp, grey]


def changed(method) -> dict:
    """Settings other than the defaults."""
    return {
        parameter.name: parameter.choices[-1] if parameter.choices else parameter.default + (parameter.step or 0)
        for parameter in method.parameters
    }


def test_canny_threshold_and_their_like_compute_in_bytes():
    assert {"canny", "canny_auto", "canny_pyramid", "threshold", "lines_lsd"} <= {method.id for method in IN_BYTES}


@pytest.mark.parametrize("options", [Options(), Options(resolution=48), Options(resolution=97, result_size="input")])
@pytest.mark.parametrize("method", IN_BYTES, ids=lambda method: method.id)
def test_bytes_are_those_of_the_floats(method, options):
    for rgb in photographs():
        for settings in ({}, changed(method)):
            settings = method.settings(settings)
            rgb.setflags(write=False)  # as Pillow gives them
            ours = preprocess_bytes(method, method.in_bytes, rgb, settings, options)
            image = torch.from_numpy(rgb.astype(np.float32) / 255)[None]
            floats = to_bytes(preprocess(method, image, None, settings, options).image[0])
            np.testing.assert_array_equal(ours if ours.ndim == 3 else ours[..., None].repeat(3, 2), floats)


def test_canny_is_opencvs_on_the_bytes_of_the_file():
    rgb = data.astronaut()[:90, :120].copy()
    method = preprocessors()["canny"]
    ours = preprocess_bytes(method, method.in_bytes, rgb, method.settings(), Options())
    np.testing.assert_array_equal(ours, cv2.Canny(rgb, 100, 200))
