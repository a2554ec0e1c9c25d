"""Tiny control files of the families that ComfyUI's own networks run, with the official keys and random weights.

They come from diffusers' own classes where those write the published files, else from ComfyUI's class of the network,
whose names are those of the file.
"""

import torch
from torch import Tensor

from support.comfy_host import import_host

import_host()

import comfy.cldm.dit_embedder
import comfy.controlnet
import comfy.ldm.cascade.controlnet
import comfy.ldm.flux.controlnet
import comfy.ldm.flux.model
import comfy.ldm.hydit.controlnet
import comfy.ldm.qwen_image.controlnet
import comfy.ldm.qwen_image.model
import comfy.ops

OPS = comfy.ops.disable_weight_init
FLUX = {"num_heads": 2, "axes_dim": [4, 6, 6], "hidden_size": 32, "context_in_dim": 24, "vec_in_dim": 16}
# What newer hosts want to be told beside.
NEWER = {"txt_ids_dims": []} if "txt_ids_dims" in comfy.ldm.flux.model.FluxParams.__dataclass_fields__ else {}
QWEN = {
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "joint_attention_dim": 24,
    "axes_dims_rope": (4, 6, 6),
}
HUNYUAN = {
    "hidden_size": 32,
    "num_heads": 2,
    "text_states_dim": 24,
    "text_states_dim_t5": 32,
    "text_len": 5,
    "text_len_t5": 6,
}


def filled(network: torch.nn.Module, seed: int = 3) -> dict[str, Tensor]:
    """Random weights under the network's own names; biases and norms too, so that every tensor matters."""
    generator = torch.Generator().manual_seed(seed)

    def draw(value: Tensor) -> Tensor:
        scale = 0.3 if value.dim() < 2 else (1 / max(1, value[0].numel())) ** 0.5
        return torch.randn(value.shape, generator=generator) * scale

    return {key: draw(value) for key, value in network.state_dict().items() if value.is_floating_point()}


def library(name: str, **settings) -> dict[str, Tensor]:
    import diffusers

    with torch.device("meta"):
        network = getattr(diffusers, name)(**settings)
    return filled(network)


def sd3(beside: int = 0) -> dict[str, Tensor]:
    """beside: channels of an inpainting network's hint beside its latent."""
    return library(
        "SD3ControlNetModel",
        num_layers=2,
        num_attention_heads=4,
        attention_head_dim=64,
        joint_attention_dim=24,
        caption_projection_dim=256,
        pooled_projection_dim=16,
        in_channels=16,
        pos_embed_max_size=16,
        sample_size=16,
        extra_conditioning_channels=beside,
    )


def sd35(double: bool) -> dict[str, Tensor]:
    network = comfy.cldm.dit_embedder.ControlNetEmbedder(
        img_size=None, patch_size=2, in_chans=16, attention_head_dim=64, num_attention_heads=4, adm_in_channels=2048,
        num_layers=2, main_model_double=4, double_y_emb=double, device=None, dtype=torch.float32, operations=OPS,
    )  # fmt: skip
    of_base = "orig_y_embedder." if double else "x_embedder."
    return {key: value for key, value in filled(network).items() if not key.startswith(of_base)}


def flux(mistoline: bool = False) -> dict[str, Tensor]:
    network = comfy.ldm.flux.controlnet.ControlNetFlux(
        mistoline=mistoline, dtype=torch.float32, operations=OPS, in_channels=16, out_channels=16, mlp_ratio=4.0,
        theta=10000, qkv_bias=True, patch_size=2, guidance_embed=True, depth=2, depth_single_blocks=2 * mistoline,
        **FLUX, **NEWER,
    )  # fmt: skip
    weights = {}
    for key, value in filled(network).items():
        norm = "norm.key_norm." in key or "norm.query_norm." in key
        name = (
            key.replace("norm.weight", "norm.scale") if norm else key
        )  # newer hosts call it another name than the file
        name = name.replace("controlnet_single_blocks.", "single_controlnet_blocks.") if mistoline else name
        weights[name] = value.abs() + 0.5 if norm else value
    return weights


def instantx(modes: int | None = None) -> dict[str, Tensor]:
    return library(
        "FluxControlNetModel", patch_size=1, in_channels=64, num_layers=2, num_single_layers=2, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=24, pooled_projection_dim=16, guidance_embeds=True,
        axes_dims_rope=[4, 6, 6], num_mode=modes,
    )  # fmt: skip


def hunyuan() -> dict[str, Tensor]:
    return filled(comfy.ldm.hydit.controlnet.HunYuanControlNet(dtype=torch.float32, operations=OPS, **HUNYUAN))


def flux_inpaint() -> dict[str, Tensor]:
    """Alimama's file: InstantX's, with a mask beside the hint's latent."""
    weights = instantx()
    embedder = weights["controlnet_x_embedder.weight"]
    weights["controlnet_x_embedder.weight"] = torch.cat([embedder, embedder[:, :4].flip(0)], dim=1)
    return weights


def qwen(beside: int = 0) -> dict[str, Tensor]:
    return library(
        "QwenImageControlNetModel", patch_size=2, in_channels=64, num_layers=2, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=24, axes_dims_rope=(4, 6, 6), extra_condition_channels=beside,
    )  # fmt: skip


def qwen_fun(blocks: int = 5) -> dict[str, Tensor]:
    """Alibaba's file: blocks of the base model with a projection behind each, and one before the first."""
    dim = QWEN["attention_head_dim"] * QWEN["num_attention_heads"]
    network = torch.nn.Module()
    network.control_img_in = OPS.Linear(132, dim)
    network.control_blocks = torch.nn.ModuleList()
    for index in range(blocks):
        block = comfy.ldm.qwen_image.model.QwenImageTransformerBlock(
            dim, QWEN["num_attention_heads"], QWEN["attention_head_dim"], dtype=torch.float32, operations=OPS
        )
        block.after_proj = OPS.Linear(dim, dim)
        if not index:
            block.before_proj = OPS.Linear(dim, dim)
        network.control_blocks.append(block)
    return filled(network)


def cascade(large: bool = False) -> dict[str, Tensor]:
    """large: the one that sees its hint at the size of the latent (a picture made by super-resolution)."""
    places, mode = [0, 4, 8, 12, 51, 55, 59, 63], {"bottleneck_mode": "large"} if large else {}
    torch.manual_seed(4)
    network = comfy.ldm.cascade.controlnet.ControlNet(c_in=3 if large else 1, proj_blocks=places, **mode)
    return {key: value.detach() for key, value in network.state_dict().items()}
