"""Our network and diffusers' `ControlNetModel` on the same random weights, through the diffusers file format."""

import pytest
import torch
from diffusers import ControlNetModel
from safetensors.torch import save_file
from zeroconv.controlnet.formats import load_ldm_state_dict
from zeroconv.controlnet.network import Inputs, build_controlnet

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


@pytest.mark.parametrize("family", FAMILIES)
def test_residuals_equal_diffusers(family, tmp_path):
    torch.manual_seed(0)
    theirs = ControlNetModel(conditioning_embedding_out_channels=(16, 32, 96, 256), **FAMILIES[family]).eval()
    with torch.no_grad():  # diffusers starts its zero convolutions and the last hint convolution at zero
        for module in [*theirs.controlnet_down_blocks, theirs.controlnet_mid_block]:
            torch.nn.init.normal_(module.weight, std=0.1)
            torch.nn.init.normal_(module.bias, std=0.1)
        torch.nn.init.normal_(theirs.controlnet_cond_embedding.conv_out.weight, std=0.1)
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
        assert torch.linalg.norm(mine - other) / torch.linalg.norm(other) <= 1e-5
