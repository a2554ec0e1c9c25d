"""Our networks and diffusers' on the same random weights, through the diffusers file format."""

from dataclasses import replace

import pytest
import torch
from diffusers import ControlNetModel, ControlNetUnionModel, MultiControlNetModel
from safetensors.torch import save_file
from support.comfy_host import import_host, small_model
from support.measures import relative_error
from support.networks import dimensions

import_host()

from zeroconv.controlnet.formats import load_ldm_state_dict
from zeroconv.controlnet.formats.diffusers import to_diffusers
from zeroconv.controlnet.networks.build import build_controlnet
from zeroconv.controlnet.networks.controlnet import Inputs
from zeroconv.controlnet.networks.union import UnionControlNet, UnionHint
from zeroconv.host.loading.load import control_from_tensors

PLAIN, CROSS = "DownBlock2D", "CrossAttnDownBlock2D"
XL = {"addition_embed_type": "text_time", "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816}

FAMILIES = {
    "SD1.5": {"cross_attention_dim": 768, "attention_head_dim": 8, "block_out_channels": (64, 128, 256, 256)},
    "SD2.x": {
        "cross_attention_dim": 1024,
        "attention_head_dim": (1, 2, 4, 4),
        "block_out_channels": (64, 128, 256, 256),
        "use_linear_projection": True,
    },
    "SDXL": {
        "cross_attention_dim": 2048,
        "attention_head_dim": (1, 2, 4),
        "block_out_channels": (64, 128, 256),
        "down_block_types": (PLAIN, CROSS, CROSS),
        "transformer_layers_per_block": (1, 2, 10),
        "use_linear_projection": True,
        **XL,
    },
    "SDXL mid": {
        "cross_attention_dim": 2048,
        "attention_head_dim": (1, 2, 4),
        "block_out_channels": (64, 128, 256),
        "down_block_types": (PLAIN, PLAIN, CROSS),
        "transformer_layers_per_block": (1, 1, 1),
        "use_linear_projection": True,
        **XL,
    },
}


def random_controlnet(family, seed=0):
    """diffusers' network; its zero convolutions and the last convolution of the hint do not stay at zero."""
    torch.manual_seed(seed)
    network = ControlNetModel(conditioning_embedding_out_channels=(16, 32, 96, 256), **FAMILIES[family]).eval()
    with torch.no_grad():
        for module in [*network.controlnet_down_blocks, network.controlnet_mid_block]:
            torch.nn.init.normal_(module.weight, std=0.1)
            torch.nn.init.normal_(module.bias, std=0.1)
        torch.nn.init.normal_(network.controlnet_cond_embedding.conv_out.weight, std=0.1)
    return network


@pytest.mark.parametrize("family", FAMILIES)
def test_residuals_equal_diffusers(family, tmp_path):
    theirs = random_controlnet(family)
    save_file(theirs.state_dict(), tmp_path / "control.safetensors")
    ours = build_controlnet(load_ldm_state_dict(tmp_path / "control.safetensors"))
    assert ours.dims.family == family.removesuffix(" mid")

    x = torch.randn(2, 4, 24, 16)
    hint = torch.rand(2, 3, 192, 128)
    context = torch.randn(2, 9, FAMILIES[family]["cross_attention_dim"])
    timesteps = torch.tensor([17.0, 801.0])
    added, y = {}, None
    if "SDXL" in family:
        text, sizes = torch.randn(2, 1280), torch.randint(0, 1024, (2, 6)).float()
        added = {"text_embeds": text, "time_ids": sizes}
        y = torch.cat([text, theirs.add_time_proj(sizes.flatten()).reshape(2, -1)], dim=1)
    with torch.no_grad():
        skips, middle = theirs(x, timesteps, context, hint, added_cond_kwargs=added, return_dict=False)
        result = ours(Inputs(x, timesteps, y), ours.embed_hint(hint), ours.project_context(context))
    for mine, other in zip([*result.output, *result.middle], [*skips, middle], strict=True):
        assert relative_error(mine, other) <= 1e-5


def test_a_chain_equals_diffusers_multi_controlnet(tmp_path):
    """Two networks, hints and strengths, through the host's chain; diffusers is told the timestep, we the noise."""
    model = small_model(64).model
    hints, strengths = [torch.rand(1, 3, 128, 192) for _ in range(2)], (0.7, 1.6)
    theirs = [random_controlnet("SD1.5", seed) for seed in (1, 2)]
    chain = None
    for number, (network, hint, strength) in enumerate(zip(theirs, hints, strengths, strict=True)):
        save_file(network.state_dict(), tmp_path / f"{number}.safetensors")
        control = control_from_tensors(load_ldm_state_dict(tmp_path / f"{number}.safetensors"))
        chain = control.set_cond_hint(hint, strength).set_previous_controlnet(chain)
    chain.pre_run(model, model.model_sampling.percent_to_sigma)

    sigma = torch.full((2,), 3.0)
    x, context = torch.randn(1, 4, 16, 24).repeat(2, 1, 1, 1), torch.randn(2, 77, 768)
    seen, timestep = x / (sigma[0] ** 2 + 1) ** 0.5, model.model_sampling.timestep(sigma)
    with torch.inference_mode():
        ours = chain.get_control(x, sigma, {"c_crossattn": context}, 2, {"cond_or_uncond": [0, 1]})
        skips, middle = MultiControlNetModel(theirs)(
            seen, timestep, context, [hint.repeat(2, 1, 1, 1) for hint in hints], list(strengths), return_dict=False
        )
    for mine, other in zip([*ours["output"], *ours["middle"]], [*skips, middle], strict=True):
        assert relative_error(mine, other) <= 1e-5


@pytest.mark.parametrize("types", [(3,), (1, 6)], ids=str)
def test_union_residuals_equal_diffusers(types, tmp_path):
    torch.manual_seed(0)
    width = (320, 64, 128)  # the first width is fixed by the reference's token transformer
    settings = {**FAMILIES["SDXL mid"], "block_out_channels": width, "attention_head_dim": (5, 1, 2)}
    theirs = ControlNetUnionModel(
        conditioning_embedding_out_channels=(16, 32, 96, 256), num_control_type=8, **settings
    ).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.1)
    save_file(theirs.state_dict(), tmp_path / "union.safetensors")
    ours = build_controlnet(load_ldm_state_dict(tmp_path / "union.safetensors"))
    assert ours.dims.union_types == 8

    x = torch.randn(1, 4, 16, 8).repeat(2, 1, 1, 1)
    context, text = torch.randn(2, 9, 2048), torch.randn(2, 1280)
    hints = [torch.rand(1, 3, 128, 64) for _ in types]
    strengths = [0.7, 1.6][: len(types)]
    timesteps = torch.tensor([333.0, 333.0])
    sizes = torch.randint(0, 1024, (2, 6)).float()
    y = torch.cat([text, theirs.add_time_proj(sizes.flatten()).reshape(2, -1)], dim=1)
    flags = torch.zeros(2, 8)
    flags[:, list(types)] = 1
    with torch.no_grad():
        skips, middle = theirs(
            x, timesteps, context, [hint.repeat(2, 1, 1, 1) for hint in hints], flags, list(types),
            conditioning_scale=strengths, added_cond_kwargs={"text_embeds": text, "time_ids": sizes}, return_dict=False,
        )  # fmt: skip
        fused = ours.embed_union([UnionHint(*item) for item in zip(hints, types, strengths, strict=True)])
        inputs = Inputs(x, timesteps, y, groups=2, shared=True, uniform_time=True, union_types=types)
        result = ours(inputs, fused, ours.project_context(context))
    scale = strengths[0] if len(types) == 1 else 1.0
    for mine, other in zip([*result.output, *result.middle], [*skips, middle], strict=True):
        assert relative_error(scale * mine, other) <= 1e-5


def test_a_union_file_refuses_kinds_that_it_lacks():
    network = UnionControlNet(replace(dimensions("SDXL mid", 64), union_types=6))
    with pytest.raises(ValueError, match="tile"):
        network.embed_union([UnionHint(torch.zeros(1, 3, 64, 64), 6)])


def test_written_for_diffusers_a_file_is_what_diffusers_writes(tmp_path):
    """Keys and tensors of `zeroconv convert --layout diffusers` against those of diffusers' own networks."""
    hint = {"conditioning_embedding_out_channels": (16, 32, 96, 256)}
    union = {**FAMILIES["SDXL mid"], "block_out_channels": (320, 64, 128), "attention_head_dim": (5, 1, 2)}
    networks = {family: ControlNetModel(**hint, **settings) for family, settings in FAMILIES.items()}
    networks["union"] = ControlNetUnionModel(**hint, **union, num_control_type=8)
    for name, theirs in networks.items():
        expected = theirs.state_dict()
        save_file(expected, tmp_path / f"{name}.safetensors")
        written = to_diffusers(load_ldm_state_dict(tmp_path / f"{name}.safetensors"))
        theirs.load_state_dict(written, strict=True)
        assert all(torch.equal(written[key], value) for key, value in expected.items()), name
