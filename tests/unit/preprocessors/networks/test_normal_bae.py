"""NormalBAE: official weights and the hint's colors."""

import torch
from zeroconv.benchmarks.models.official_weights import golden_state_dict
from zeroconv.preprocessors.description import Inputs
from zeroconv.preprocessors.methods.normals_bae import NORMAL_BAE
from zeroconv.preprocessors.networks import normal_bae


def test_official_weights_fit_strictly_in_the_files_own_wrapping():
    weights = golden_state_dict("normalbae_scannet")
    network = normal_bae.build({"model": {f"module.{name}": value for name, value in weights.items()}})
    assert sum(p.numel() for p in network.parameters()) == 72_422_336 - 2 * 2048  # without the last, unused norm


class Leftwards(torch.nn.Module):
    """Says that everything faces left."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, images):
        assert images.shape[2] % 32 == images.shape[3] % 32 == 0
        normals = torch.zeros(len(images), 4, *images.shape[2:])
        normals[:, 0], normals[:, 3] = 1, 99
        return normals


def test_left_is_red():
    hint = NORMAL_BAE.run(Inputs(torch.rand(2, 50, 70, 3), NORMAL_BAE.settings(), lambda name: Leftwards())).image
    assert hint.shape == (2, 50, 70, 3)
    assert hint[0, 20, 20].tolist() == [1.0, 0.5, 0.5]
