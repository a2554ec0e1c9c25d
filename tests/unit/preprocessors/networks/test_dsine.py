"""DSINE: against numbers that its authors' own code gave for the same weights, and its parts by their geometry."""

import math

import pytest
import torch
from zeroconv.benchmarks.models.official_weights import golden_state_dict, random_state_dict
from zeroconv.preprocessors.camera import focal_length
from zeroconv.preprocessors.methods.normals_dsine import DSINE
from zeroconv.preprocessors.networks import dsine
from zeroconv.preprocessors.running import Options, preprocess

GAIN = 1.35
"""Of the kernels: with it a picture is still to be seen in the answer."""
ANSWERS = {
    (64, 96, 60.0): (
        "-0.692567 -0.248049 0.485087 0.866758 -0.701563 -0.28301 "
        "0.471864 0.855645 -0.674559 -0.345767 0.542103 0.860474"
    ),
    (128, 64, 25.0): (
        "-0.175506 -0.373201 0.521679 0.942172 -0.14734 -0.39295 "
        "0.528803 0.949265 -0.179279 -0.455723 0.514028 0.944159"
    ),
    (64, 64, 90.0): (
        "-0.752894 -0.415396 0.896546 0.644696 -0.726544 -0.400528 "
        "0.880518 0.709929 -0.726571 -0.381695 0.901252 0.683347"
    ),
}
"""Twelve values for three pictures of a height, a width and a field of view in degrees, from the code of
baegwangbin/DSINE (model v02, the settings of exp001_cvpr2024)."""


@pytest.fixture(scope="module")
def network():
    torch.set_num_threads(1)
    weights = {key: value * GAIN if value.dim() == 4 else value for key, value in random_state_dict("dsine").items()}
    return dsine.build({"model": {f"module.{key}": value for key, value in weights.items()}, "iter": 7})


def pictures(height, width):
    return torch.rand(3, 3, height, width, generator=torch.Generator().manual_seed(1))


def test_official_weights_fit_strictly():
    weights = golden_state_dict("dsine")
    kept = [value.numel() for name, value in weights.items() if ".original_model.bn2." not in name]
    assert sum(value.numel() for value in dsine.build({"model": weights}).state_dict().values()) == sum(kept)
    del weights["gru.convz.bias"]
    with pytest.raises(ValueError, match="Dsine"):
        dsine.build({"model": weights})


@pytest.mark.parametrize(("height", "width", "degrees"), ANSWERS)
def test_answers_are_those_of_the_original(network, height, width, degrees):
    pixels = focal_length(height, width, degrees)
    with torch.inference_mode():
        normals = network(pictures(height, width), (pixels / width, pixels / height))
    assert normals.shape == (3, 3, height, width)
    step = normals.numel() // 12
    values = normals.flatten()[step // 2 :: step][:12]
    expected = torch.tensor([float(value) for value in ANSWERS[height, width, degrees].split()])
    torch.testing.assert_close(values, expected, rtol=0, atol=3e-5)


def test_a_batch_is_its_pictures_one_by_one(network):
    images, camera = pictures(64, 64), (0.9, 0.9)
    with torch.inference_mode():
        together = network(images, camera, 2)
        alone = torch.cat([network(image[None], camera, 2) for image in images])
    assert (together[0] - together[1]).abs().mean() > 1e-3
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-4)


def test_vectors_turn_as_the_exponential_of_the_rotation():
    generator = torch.Generator().manual_seed(2)
    vectors, axes = (torch.nn.functional.normalize(torch.randn(5, 3, generator=generator), dim=1) for _ in range(2))
    angles = torch.rand(5, generator=generator) * math.pi
    zero = torch.zeros(5)
    x, y, z = axes.T
    spin = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).reshape(5, 3, 3)
    expected = torch.linalg.matrix_exp(spin * angles[:, None, None]) @ vectors[..., None]
    torch.testing.assert_close(dsine.rotate(vectors, axes, angles), expected[..., 0], rtol=0, atol=1e-6)
    still = dsine.rotate(vectors, torch.zeros_like(axes), angles)
    assert torch.equal(still, vectors)


def test_axes_lie_in_the_surface_and_look_like_their_direction():
    """A step along an axis from a point of a ray leads to where the camera sees the step's direction."""
    generator = torch.Generator().manual_seed(3)
    view, size = dsine.View((0.8, 1.1)), (4, 6)
    slopes = view.slopes(torch.zeros(1, 1, *size))[:, :, None]
    rays = torch.cat([slopes, torch.ones_like(slopes[:, :1])], dim=1)
    normals = dsine.facing_camera(torch.nn.functional.normalize(torch.randn(1, 3, 1, *size, generator=generator)), rays)
    directions = torch.nn.functional.normalize(torch.randn(1, 2, 1, *size, generator=generator), dim=1)
    axes = dsine.directions_in_the_surface(normals, directions, slopes, view)
    assert (axes * normals).sum(1).abs().max() < 1e-5
    point = rays + 1e-4 * axes
    seen = (point[:, :2] / point[:, 2:] - slopes) * torch.tensor([0.8 * 6, 1.1 * 4]).view(2, 1, 1, 1)
    seen = torch.nn.functional.normalize(seen, dim=1)
    assert (seen * directions).sum(1).abs().min() > 0.99


def test_no_surface_is_seen_from_behind():
    rays = dsine.View((0.5, 0.5)).rays(torch.zeros(1, 1, 8, 8))
    normals = torch.nn.functional.normalize(torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(4)), dim=1)
    turned = dsine.facing_camera(normals, rays)
    cosine = (normals * rays).sum(1)
    assert (turned * rays).sum(1).min() > 0.009
    seen = (cosine > 0.01)[:, None].expand_as(normals)
    torch.testing.assert_close(turned[seen], normals[seen], rtol=0, atol=1e-6)


class Recorded(torch.nn.Module):
    """Says that everything faces left, and keeps what it was asked."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.asked = []

    def forward(self, images, focal_lengths, refinements):
        self.asked.append((tuple(images.shape), focal_lengths, refinements))
        normals = torch.zeros_like(images)
        normals[:, 0] = 1
        return normals


def test_the_camera_is_that_of_the_picture_whatever_the_network_sees():
    """90 degrees along the longer side: the focal length is half of it."""
    network = Recorded()
    settings = {"field_of_view": 90.0, "network_size": 64, "refinements": 3}
    hint = preprocess(DSINE, torch.rand(2, 50, 71, 3), lambda name: network, settings, Options(chunk=2)).image
    assert hint.shape == (2, 50, 71, 3)
    assert hint[1, 20, 20].tolist() == [1.0, 0.5, 0.5]
    ((shape, focal, refinements),) = network.asked
    assert (shape, refinements) == ((2, 3, 64, 96), 3)
    assert focal == pytest.approx((0.5, 71 / 2 / 50))
