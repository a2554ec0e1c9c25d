"""Union ControlNets in the host's contract: kinds of hints told, several at once, refused when unknown."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from support.comfy_host import import_host
from support.measures import relative_error
from support.networks import dimensions

import_host()

import comfy.cldm.cldm
import comfy.controlnet
import comfy.model_sampling
from zeroconv.controlnet.networks.dimensions import Block
from zeroconv.controlnet.networks.union import UnionControlNet
from zeroconv.host.controls.union import add_union_hint, set_union_type
from zeroconv.host.loading.load import control_from_tensors

SMALL = Block(320, 1)
STAGES = (Block(320), Block(320), Block(320, downsample=True), SMALL, SMALL)
DIMS = replace(dimensions("SDXL mid", 320), blocks=STAGES, middle=SMALL, union_types=6)


class Sampling(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.EPS):
    pass


BASE = SimpleNamespace(
    model_config=SimpleNamespace(unet_config={"model_channels": 320, "context_dim": 2048, "adm_in_channels": 2816}),
    model_sampling=Sampling(None),
)


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(0)
    network = UnionControlNet(DIMS)
    torch.nn.init.normal_(network.task_embedding)
    return {key: value.detach() for key, value in network.state_dict().items()}


def residuals(control, image, previous=None):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, 4, 8, 8, generator=generator).repeat(2, 1, 1, 1)
    cond = {
        "c_crossattn": torch.randn(2, 7, 2048, generator=generator),
        "y": torch.randn(2, 2816, generator=generator),
    }
    control = control.copy().set_cond_hint(image.movedim(-1, 1)).set_previous_controlnet(previous)
    control.pre_run(BASE, BASE.model_sampling.percent_to_sigma)
    with torch.inference_mode():
        result = control.get_control(x, torch.full((2,), 4.0), cond, 2, {})
    return [*result["output"], *result["middle"]]


def test_two_kinds_of_hint_in_a_chain_are_two_evaluations(weights):
    """What a network is told of the kind differs, so that one run could not answer both."""
    control = control_from_tensors(dict(weights))
    first, second = (set_union_type(control, kind) for kind in ("depth", "lines"))
    chained = residuals(second, picture(2), first.copy().set_cond_hint(picture(1).movedim(-1, 1)))
    for both, one, other in zip(chained, residuals(first, picture(1)), residuals(second, picture(2)), strict=True):
        torch.testing.assert_close(both, one + other, atol=1e-5, rtol=1e-5)


def picture(seed):
    return torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(seed))


def core_control(weights):
    """Core reads union files in diffusers' layout and official widths only; this is its network, built by hand."""
    network = comfy.cldm.cldm.ControlNet(
        image_size=32,
        in_channels=4,
        hint_channels=3,
        model_channels=320,
        num_res_blocks=[2, 2],
        channel_mult=[1, 1],
        transformer_depth=[0, 0, 1, 1],
        transformer_depth_middle=1,
        use_spatial_transformer=True,
        use_linear_in_transformer=True,
        context_dim=2048,
        num_classes="sequential",
        adm_in_channels=2816,
        num_head_channels=64,
        legacy=False,
        union_controlnet_num_control_type=DIMS.union_types,
    )
    network.load_state_dict(weights, strict=True)
    return comfy.controlnet.ControlNet(network, load_device=torch.device("cpu"))


@pytest.mark.parametrize("kind", ["auto", "lines"])
def test_one_kind_equals_core(weights, kind):
    core = core_control(weights)
    for mine, theirs in zip(
        residuals(set_union_type(control_from_tensors(dict(weights)), kind), picture(2)),
        residuals(set_union_type(core, kind), picture(2)),
        strict=True,
    ):
        assert relative_error(mine, theirs) <= 1e-5


def test_a_second_hint_acts_and_costs_no_second_forward(weights):
    control = set_union_type(control_from_tensors(dict(weights)), "depth")
    alone = residuals(control, picture(2))
    counts = control.runner.loaded.cache.counts
    before = counts.forwards
    both = residuals(add_union_hint(control, "openpose", picture(3), 1.0), picture(2))
    assert counts.forwards == before + 1
    assert all(not torch.allclose(a, b) for a, b in zip(alone, both, strict=True))


def test_unknown_kinds_and_plain_networks_are_refused(weights):
    union = control_from_tensors(dict(weights))
    with pytest.raises(ValueError, match="tile"):
        set_union_type(union, "tile")
    with pytest.raises(ValueError, match="Set the type"):
        add_union_hint(union, "depth", picture(1), 1.0)
    plain = control_from_tensors({k: v for k, v in weights.items() if is_plain(k)})
    with pytest.raises(ValueError, match="no union types"):
        set_union_type(plain, "depth")


def is_plain(key):
    return not key.startswith(("task_embedding", "transformer_layes", "spatial_ch_projs", "control_add_embedding"))
