"""Reduced base models of the transformer families with random weights, and sampling with them in ComfyUI's own code."""

import torch
from torch import Tensor

from support.comfy_host import import_host
from support.hosted_files import FLUX, NEWER, QWEN

import_host()

import comfy.model_patcher
import comfy.sample
import comfy.supported_models
from zeroconv.host.conditioning import Unit, apply_unit

CONTEXT, POOLED = 24, 16
SIZES = {
    "sd3": (16, 8, 12),
    "flux": (16, 8, 12),
    "qwen-image": (16, 1, 8, 12),
    "z-image": (16, 8, 12),
    "anima": (16, 1, 8, 12),
    "wan": (16, 3, 8, 12),
    "wan vace": (16, 3, 8, 12),
    "wan fun": (16, 3, 8, 12),
}

WAN = {
    "image_model": "wan2.1", "dim": 96, "num_heads": 4, "ffn_dim": 128, "num_layers": 4, "patch_size": (1, 2, 2),
    "freq_dim": 32, "window_size": (-1, -1), "qk_norm": True, "cross_attn_norm": True, "eps": 1e-6, "out_dim": 16,
    "text_dim": CONTEXT,
}  # fmt: skip
"""What all tiny models of Wan have in common."""

CONFIGS = {
    "sd3": (
        "SD3",
        {
            "input_size": None, "patch_size": 2, "in_channels": 16, "out_channels": 16, "depth": 4,
            "adm_in_channels": POOLED, "num_patches": 256, "pos_embed_max_size": 16, "pos_embed_scaling_factor": None,
            "context_embedder_config": {
                "target": "torch.nn.Linear", "params": {"in_features": CONTEXT, "out_features": 256},
            },
        },
    ),
    "flux": (
        "Flux",
        {
            "image_model": "flux", "in_channels": 16, "out_channels": 16, "patch_size": 2, "mlp_ratio": 4.0,
            "depth": 19, "depth_single_blocks": 38, "theta": 10000, "qkv_bias": True, "guidance_embed": True,
            **FLUX, **NEWER,
        },
    ),
    "qwen-image": (
        "QwenImage",
        {
            "image_model": "qwen_image", "patch_size": 2, "in_channels": 64, "out_channels": 16, "num_layers": 60,
            **QWEN,
        },
    ),
    "z-image": (
        "ZImage",
        {
            "image_model": "lumina2", "patch_size": 2, "in_channels": 16, "dim": 256, "n_layers": 30, "n_heads": 16,
            "n_kv_heads": 16, "cap_feat_dim": CONTEXT, "qk_norm": True, "axes_dims": [4, 6, 6],
            "axes_lens": [64, 64, 64], "rope_theta": 256.0, "ffn_dim_multiplier": 8.0 / 3.0,
            "z_image_modulation": True, "time_scale": 1000.0, "pad_tokens_multiple": 32,
        },
    ),
    "wan": ("WAN21_T2V", {"model_type": "t2v", "in_dim": 16, **WAN}),
    "wan vace": ("WAN21_Vace", {"model_type": "vace", "in_dim": 16, "vace_layers": 2, "vace_in_dim": 96, **WAN}),
    "wan fun": ("WAN21_FunControl2V", {"model_type": "t2v", "in_dim": 48, **WAN}),
    "anima": (
        "Anima",
        {
            "image_model": "anima", "max_img_h": 16, "max_img_w": 16, "max_frames": 4, "in_channels": 16,
            "out_channels": 16, "patch_spatial": 2, "patch_temporal": 1, "concat_padding_mask": True,
            "model_channels": 64, "num_blocks": 3, "num_heads": 4, "crossattn_emb_channels": CONTEXT,
            "pos_emb_cls": "rope3d", "pos_emb_learnable": True, "pos_emb_interpolation": "crop",
            "use_adaln_lora": True, "adaln_lora_dim": 16, "extra_per_block_abs_pos_emb": False,
        },
    ),
}  # fmt: skip
"""Name of the class in `comfy.supported_models`, and its description of the network, in small."""


def dit_model(family: str, seed: int = 0):
    """A MODEL of the family, in float32; its blocks change their input only a little, as trained ones do."""
    name, config = CONFIGS[family]
    described = getattr(comfy.supported_models, name)(dict(config))
    described.set_inference_dtype(torch.float32, None)
    model = described.get_model({}, "", device=torch.device("cpu"))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in (*model.diffusion_model.parameters(), *model.diffusion_model.buffers()):
            scale = 0.3 if parameter.dim() < 2 else parameter[0].numel() ** -0.5
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu"))


def dit_prompts() -> tuple[list, list]:
    generator = torch.Generator().manual_seed(5)

    def one() -> list:
        settings = {"pooled_output": torch.randn(1, POOLED, generator=generator), "guidance": 3.5}
        return [[torch.randn(1, 5, CONTEXT, generator=generator), settings]]

    return one(), one()


def sample_dit(family: str, model, units: list[Unit], pictures: int = 1, steps: int = 3, prompts=None) -> Tensor:
    """Latents of a few steps with classifier-free guidance. prompts: positive and negative, instead of random ones."""
    positive, negative = prompts or dit_prompts()
    for unit in units:
        positive, negative = apply_unit(unit, positive, negative)
    shape = (pictures, *SIZES[family])
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        return comfy.sample.sample(
            model, noise, steps, 2.0, "euler", "simple", positive, negative, torch.zeros(shape),
            disable_pbar=True, seed=3,
        )  # fmt: skip
