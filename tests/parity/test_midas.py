"""MiDaS DPT-Hybrid against the implementation of transformers, with the same random weights."""

import pytest
import torch
from zeroconv.benchmarks.models.official_weights import random_state_dict
from zeroconv.benchmarks.sides.transformers_midas import depth_at_any_size, transformers_midas
from zeroconv.preprocessors.networks import midas


@pytest.fixture(scope="module")
def networks():
    torch.set_num_threads(1)
    weights = random_state_dict("midas_dpt_hybrid")
    return midas.build(weights), transformers_midas(weights)


@pytest.mark.parametrize("size", [(96, 160), (224, 128)])
def test_depth_equals_transformers_at_any_size(networks, size):
    ours, reference = networks
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = depth_at_any_size(reference, images)
        got = ours(images)
    assert got.shape == (2, 1, *size)
    assert expected.std() > 1e-3
    torch.testing.assert_close(got[:, 0], expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def test_depth_equals_transformers_at_the_size_it_was_trained_at(networks):
    ours, reference = networks
    images = torch.rand(1, 3, 384, 384, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = reference(2 * images - 1).predicted_depth
        got = ours(images)
    torch.testing.assert_close(got[:, 0], expected, rtol=1e-3, atol=5e-4 * float(expected.abs().max()))
