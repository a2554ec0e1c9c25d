"""LeReS against the code of its authors as the package controlnet-aux has it, with the same random weights."""

import pytest
import torch
from zeroconv.benchmarks.models.official_weights import random_state_dict
from zeroconv.benchmarks.sides.reference_packages import controlnet_aux
from zeroconv.preprocessors.networks import leres


@pytest.fixture(scope="module")
def networks():
    torch.set_num_threads(1)
    weights = random_state_dict("leres")
    for name in weights:  # else 33 blocks in a row grow beyond what can be compared
        if name.endswith("bn3.weight"):
            weights[name] *= 0.3
    reference = controlnet_aux("leres.leres.multi_depth_model_woauxi").RelDepthModel(backbone="resnext101")
    reference.load_state_dict(weights, strict=True)
    return leres.build({"depth_model": {f"module.{name}": value for name, value in weights.items()}}), reference.eval()


@pytest.mark.parametrize("size", [(96, 160), (224, 128), (64, 64)])
def test_depth_of_a_batch_equals_the_authors(networks, size):
    ours, reference = networks
    images = torch.rand(3, 3, *size, generator=torch.Generator().manual_seed(1))
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        expected = reference.depth_model((images - mean.view(3, 1, 1)) / deviation.view(3, 1, 1))
        got = ours(images)
    assert got.shape == (3, 1, *size)
    assert expected.std() > 1e-3
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def test_a_batch_is_its_pictures_one_by_one(networks):
    ours, _ = networks
    images = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        together = ours(images)
        apart = torch.cat([ours(image[None]) for image in images])
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-4 * float(apart.abs().max()))
