"""NormalBAE against the package controlnet-aux, with the same random weights."""

from types import SimpleNamespace

import pytest
import torch
from zeroconv.benchmarks.models.official_weights import random_state_dict
from zeroconv.benchmarks.sides.reference_packages import REFERENCES, controlnet_aux
from zeroconv.preprocessors.networks import normal_bae


def reference_network(monkeypatch):
    """Its encoder is built from a folder of the package through torch.hub, which here imports the folder directly."""
    encoder = controlnet_aux("normalbae.nets.submodules.encoder")
    folder = REFERENCES / "controlnet_aux" / "normalbae" / "nets" / "submodules" / "efficientnet_repo"
    monkeypatch.syspath_prepend(str(folder))
    import geffnet

    create = SimpleNamespace(load=lambda _, name, **options: getattr(geffnet, name)(pretrained=False))
    monkeypatch.setattr(encoder.torch, "hub", create)
    decoder = controlnet_aux("normalbae.nets.submodules.decoder")
    network = torch.nn.Module()
    network.encoder = encoder.Encoder()
    network.decoder = decoder.Decoder(SimpleNamespace(architecture="BN", sampling_ratio=0.4, importance_ratio=0.7))
    return network


@pytest.mark.parametrize("size", [(64, 96)])
def test_normals_equal_controlnet_aux(monkeypatch, size):
    torch.set_num_threads(1)
    weights = random_state_dict("normalbae_scannet")
    reference = reference_network(monkeypatch)
    reference.load_state_dict(weights, strict=True)
    reference.eval()
    ours = normal_bae.build({"model": {f"module.{name}": value for name, value in weights.items()}})
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        outputs, _, _ = reference.decoder(
            reference.encoder((images - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)), mode="test"
        )
        got = ours(images)
    assert got.shape == (2, 4, *size)
    assert outputs[-1][:, :3].std() > 0.01
    torch.testing.assert_close(got, outputs[-1], rtol=1e-3, atol=1e-3)
