"""The network: what is shared and kept changes no number, and costs what the arithmetic says."""

import pytest
import torch
from support.networks import dimensions, random_network
from torch.utils.flop_counter import FlopCounterMode
from zeroconv.controlnet.networks.build import build_controlnet
from zeroconv.controlnet.networks.controlnet import ControlNet, Inputs
from zeroconv.controlnet.networks.dimensions import infer_dimensions

FAMILIES = ["SD1.5", "SD2.x", "SDXL", "SDXL mid", "SDXL small"]


def evaluate(network, x, context, hint, y=None, **sharing):
    """Residuals as one list; rows are two groups of the same pictures."""
    inputs = Inputs(x, torch.full((x.shape[0],), 321.0), y, groups=2, **sharing)
    result = network(inputs, network.embed_hint(hint), network.project_context(context))
    return [*result.output, *result.middle]


def batch(dims, pictures, size=(16, 24)):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(pictures, 4, *size, generator=generator).repeat(2, 1, 1, 1)
    context = torch.randn(2 * pictures, 7, dims.context_dim or 8, generator=generator)
    hint = torch.rand(pictures, 3, 8 * size[0], 8 * size[1], generator=generator)
    y = torch.randn(2 * pictures, dims.adm_channels, generator=generator) if dims.adm_channels else None
    return x, context, hint, y


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pictures", [1, 3])
def test_shared_prefix_changes_nothing(family, pictures):
    dims = dimensions(family, 64)
    network = random_network(dims)
    x, context, hint, y = batch(dims, pictures)
    plain = evaluate(network, x, context, hint.repeat(2, 1, 1, 1), y)
    shared = evaluate(network, x, context, hint, y, shared=True, uniform_time=True)
    for a, b in zip(plain, shared, strict=True):
        assert a.shape == b.shape
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_shared_label_changes_nothing():
    dims = dimensions("SDXL mid", 64)
    network = random_network(dims)
    x, context, hint, y = batch(dims, 2)
    y = y[:2].repeat(2, 1)
    plain = evaluate(network, x, context, hint.repeat(2, 1, 1, 1), y)
    shared = evaluate(network, x, context, hint, y, shared=True, shared_y=True, uniform_time=True)
    for a, b in zip(plain, shared, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_a_batch_equals_single_pictures():
    dims = dimensions("SD1.5", 32)
    network = random_network(dims)
    x, context, hint, _ = batch(dims, 3)
    together = evaluate(network, x, context, hint, shared=True)
    for i in range(3):
        rows = [i, i + 3]
        alone = evaluate(network, x[rows], context[rows], hint[i : i + 1], shared=True)
        for a, b in zip(together, alone, strict=True):
            torch.testing.assert_close(a[rows], b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("family", "parameters", "keys"), [("SD1.5", 361.28, 340), ("SDXL", 1251.01, 844)])
def test_official_size(family, parameters, keys):
    with torch.device("meta"):
        weights = ControlNet(dimensions(family, 320)).state_dict()
    assert len(weights) == keys
    assert sum(w.numel() for w in weights.values()) / 1e6 == pytest.approx(parameters, abs=0.01)


@pytest.mark.parametrize("family", FAMILIES)
def test_dimensions_follow_from_the_weights(family):
    dims = dimensions(family, 64)
    weights = random_network(dims).state_dict()
    assert infer_dimensions({key: tuple(w.shape) for key, w in weights.items()}) == dims


def test_flops_of_a_step_after_the_first():
    """SD1.5, 64x64 latents, CFG: core's forward costs 551.9 GFLOP; ours at most 492."""
    with torch.device("meta"):
        network = ControlNet(dimensions("SD1.5", 320))
        projected = network.project_context(torch.empty(2, 77, 768))
        inputs = Inputs(torch.empty(2, 4, 64, 64), torch.empty(2), groups=2, shared=True, uniform_time=True)
        with FlopCounterMode(display=False) as counter:
            network(inputs, torch.empty(1, 320, 64, 64), projected)
    assert counter.get_total_flops() / 1e9 <= 492


def test_weights_are_taken_not_copied():
    weights = random_network(dimensions("SD1.5", 32)).state_dict()
    network = build_controlnet(weights)
    for key, value in network.state_dict().items():
        assert value.data_ptr() == weights[key].data_ptr()


@pytest.mark.parametrize("change", ["missing", "extra", "shape"])
def test_weights_that_do_not_fit_are_refused(change):
    weights = dict(random_network(dimensions("SD1.5", 32)).state_dict())
    if change == "missing":
        del weights["time_embed.2.bias"]
    elif change == "extra":
        weights["surprise.weight"] = torch.zeros(1)
    else:
        weights["time_embed.2.bias"] = torch.zeros(3)
    with pytest.raises(ValueError, match=r"time_embed\.2\.bias|surprise\.weight"):
        build_controlnet(weights)


def test_gradient_checkpointing_changes_no_gradient():
    dims = dimensions("SD1.5", 32)
    network = random_network(dims).requires_grad_(True)
    x, context, hint, _ = batch(dims, 1)
    gradients = []
    for checkpointing in (False, True):
        network.gradient_checkpointing = checkpointing
        network.zero_grad()
        sum(r.square().mean() for r in evaluate(network, x, context, hint)).backward()
        gradients.append([p.grad.clone() for p in network.parameters()])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)
