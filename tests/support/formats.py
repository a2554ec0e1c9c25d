"""Every kind of control file: what each must be recognised as, and a maker of its keys and shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from zeroconv.storage.weights import shapes_of

from support.checkpoints import SD15, SD20, SDXL, SDXL_MID, Shapes, StateDict
from support.layouts import (
    SDXL_SMALL,
    XL_FULL,
    XL_MID,
    XL_UNION,
    adapter,
    animatediff,
    control_lora,
    ctrlora,
    ctrlora_base,
    ctrlora_full,
    flux2_fun,
    keys,
    ldm,
    library,
    library_controlnet,
    light_adapter,
    lllite,
    minimax_fun,
    scaled,
    single_stream_fun,
    sparse_ctrl,
    under,
    union,
    whole_checkpoint,
)


@dataclass(frozen=True)
class Kind:
    """A kind of file. format: the id of the one format that must claim it. shapes: makes keys and shapes.

    family: of the base model, for kinds that ZeroConv runs. kind: what runs it, as in `Format.kind`. needs_base: only
    with a MODEL. needs_controlnet: only with another file.
    """

    format: str
    shapes: Callable[[], Shapes]
    family: str = ""
    kind: str = "controlnet"
    needs_base: bool = False
    needs_controlnet: bool = False


def tensors(shapes: Shapes, dtype: torch.dtype = torch.float32, seed: int = 0) -> StateDict:
    """Random weights of these shapes, of a size that keeps activations near one."""
    generator = torch.Generator().manual_seed(seed)

    def draw(shape: tuple[int, ...]) -> torch.Tensor:
        fan = max(1, torch.Size(shape[1:]).numel())
        return (torch.randn(shape, generator=generator) / fan**0.5).to(dtype)

    return {key: draw(shape) for key, shape in shapes.items()}


def hosted(name: str) -> Callable[[], Shapes]:
    """The file of a family that ComfyUI's own networks run, made by ComfyUI's classes or diffusers'."""

    def shapes() -> Shapes:
        from support.hosted import EVERY_FAMILY

        return shapes_of(EVERY_FAMILY[name].tensors())

    return shapes


def patch(name: str) -> Callable[[], Shapes]:
    """The file of a model patch."""

    def shapes() -> Shapes:
        from support import model_patches

        return shapes_of(model_patches.tensors(name))

    return shapes


ADAPTER = {"kind": "t2i_adapter", "family": "SD1.5"}
ADAPTER_XL = {"kind": "t2i_adapter", "family": "SDXL"}
SMALL_LEVELS = [32, 64, 128, 128]

KINDS: dict[str, Kind] = {
    "ldm sd15": Kind("ldm", ldm(SD15), "SD1.5"),
    "ldm sd2": Kind("ldm", ldm(SD20), "SD2.x"),
    "ldm sdxl": Kind("ldm", ldm(SDXL), "SDXL"),
    "ldm sdxl mid": Kind("ldm", ldm(SDXL_MID), "SDXL"),
    "ldm sdxl small": Kind("ldm", ldm(SDXL_SMALL), "SDXL"),
    "ldm with prefix": Kind("ldm", under("control_model.", ldm(SD15)), "SD1.5"),
    "ldm difference": Kind("ldm", under("control_model.", ldm(SD15), difference=()), "SD1.5", needs_base=True),
    "ldm whole checkpoint": Kind("ldm", whole_checkpoint, "SD1.5"),
    "ldm union": Kind("ldm", union(6), "SDXL"),
    "ldm union promax": Kind("ldm", union(8), "SDXL"),
    "ldm scaled fp8": Kind("ldm", scaled(ldm(SD15)), "SD1.5"),
    "diffusers sd15": Kind("diffusers", library_controlnet(cross_attention_dim=768), "SD1.5"),
    "diffusers sd2": Kind(
        "diffusers",
        library_controlnet(cross_attention_dim=1024, use_linear_projection=True, attention_head_dim=(1, 1, 2, 2)),
        "SD2.x",
    ),
    "diffusers sdxl": Kind("diffusers", library_controlnet(**XL_FULL), "SDXL"),
    "diffusers sdxl mid": Kind("diffusers", library_controlnet(**XL_MID), "SDXL"),
    "diffusers union": Kind(
        "diffusers", library_controlnet("ControlNetUnionModel", num_control_type=6, **XL_UNION), "SDXL"
    ),
    "diffusers union promax": Kind(
        "diffusers", library_controlnet("ControlNetUnionModel", num_control_type=8, **XL_UNION), "SDXL"
    ),
    "control-lora sd15": Kind("control-lora", control_lora(SD15), "SD1.5", needs_base=True),
    "control-lora sdxl": Kind("control-lora", control_lora(SDXL), "SDXL", needs_base=True),
    "ctrlora": Kind("ctrlora", ctrlora(SD15), "SD1.5", "ctrlora", needs_controlnet=True),
    "ctrlora full": Kind("ctrlora-full", ctrlora_full(SD15), "SD1.5", "ctrlora"),
    "ctrlora base": Kind("ctrlora-base", ctrlora_base(SD15), kind=""),
    "sparse-ctrl scribble": Kind("sparse-ctrl", animatediff(sparse_ctrl(rgb=False)), "SD1.5", "sparse_ctrl"),
    "sparse-ctrl rgb": Kind("sparse-ctrl", animatediff(sparse_ctrl(rgb=True)), "SD1.5", "sparse_ctrl"),
    "sparse-ctrl scribble diffusers": Kind("sparse-ctrl", sparse_ctrl(rgb=False), "SD1.5", "sparse_ctrl"),
    "sparse-ctrl rgb diffusers": Kind("sparse-ctrl", sparse_ctrl(rgb=True), "SD1.5", "sparse_ctrl"),
    "t2i-adapter grey": Kind("t2i-adapter", adapter(64), **ADAPTER),
    "t2i-adapter color": Kind("t2i-adapter", adapter(192), **ADAPTER),
    "t2i-adapter learned halving": Kind("t2i-adapter", adapter(192, learned_down=True), **ADAPTER),
    "t2i-adapter sdxl grey": Kind("t2i-adapter", adapter(256), **ADAPTER_XL),
    "t2i-adapter sdxl color": Kind("t2i-adapter", adapter(768), **ADAPTER_XL),
    "t2i-adapter light": Kind("t2i-adapter", light_adapter, **ADAPTER),
    "t2i-adapter diffusers": Kind("t2i-adapter", library("T2IAdapter", channels=SMALL_LEVELS), **ADAPTER),
    "t2i-adapter diffusers sdxl": Kind(
        "t2i-adapter",
        library("T2IAdapter", channels=SMALL_LEVELS, adapter_type="full_adapter_xl", downscale_factor=16),
        **ADAPTER_XL,
    ),
    "t2i-adapter diffusers light": Kind(
        "t2i-adapter",
        library("T2IAdapter", channels=SMALL_LEVELS[:3], adapter_type="light_adapter", num_res_blocks=4),
        **ADAPTER,
    ),
    "lllite sdxl": Kind("lllite", lllite(), "SDXL", "lllite"),
    "sd3": Kind("sd3", hosted("sd3"), "SD3", "comfy_controlnet"),
    "sd3.5 large": Kind("sd35", hosted("sd3.5 large"), "SD3.5", "comfy_controlnet"),
    "sd3.5 medium": Kind("sd35", hosted("sd3.5 medium"), "SD3.5", "comfy_controlnet"),
    "flux xlabs": Kind("flux-xlabs", hosted("flux xlabs"), "Flux", "comfy_controlnet"),
    "flux mistoline": Kind("flux-mistoline", hosted("flux mistoline"), "Flux", "comfy_controlnet"),
    "flux instantx": Kind("flux", hosted("flux instantx"), "Flux", "comfy_controlnet"),
    "flux union": Kind("flux", hosted("flux union"), "Flux", "comfy_controlnet"),
    "hunyuan-dit": Kind("hunyuan-dit", hosted("hunyuan-dit"), "Hunyuan-DiT", "comfy_controlnet"),
    "qwen-image": Kind("qwen-image", hosted("qwen-image"), "Qwen-Image", "comfy_controlnet"),
    "qwen-image fun": Kind("qwen-fun", hosted("qwen-image fun"), "Qwen-Image", "comfy_controlnet"),
    "stable cascade": Kind("stable-cascade", hosted("stable cascade"), "Stable Cascade", "stable_cascade"),
    "stable cascade large": Kind("stable-cascade", hosted("stable cascade large"), "Stable Cascade", "stable_cascade"),
    "qwen blockwise": Kind("qwen-blockwise", patch("qwen blockwise"), "Qwen-Image", "qwen_blockwise"),
    "qwen blockwise inpaint": Kind("qwen-blockwise", patch("qwen blockwise inpaint"), "Qwen-Image", "qwen_blockwise"),
    "z-image": Kind("z-image", patch("z-image"), "Z-Image", "z_image"),
    "z-image 2.0": Kind("z-image", patch("z-image 2.0"), "Z-Image", "z_image"),
    "z-image 2.1": Kind("z-image", patch("z-image 2.1"), "Z-Image", "z_image"),
    "z-image lite": Kind("z-image", patch("z-image lite"), "Z-Image", "z_image"),
    "z-image tile": Kind("z-image", patch("z-image tile"), "Z-Image", "z_image"),
    "anima lllite": Kind("anima-lllite", patch("anima lllite"), "Anima", "anima_lllite"),
    "anima lllite inpaint": Kind("anima-lllite", patch("anima lllite inpaint"), "Anima", "anima_lllite"),
    "anima lllite aspp": Kind("anima-lllite", patch("anima lllite aspp"), "Anima", "anima_lllite"),
    "wan uni3c": Kind("wan-uni3c", patch("wan uni3c"), "Wan", "uni3c"),
    "wan uni3c diffusers": Kind("wan-uni3c", patch("wan uni3c diffusers"), "Wan", "uni3c"),
    "qwen-image-2.1 fun": Kind("qwen-image-2.1-fun", single_stream_fun(), kind=""),
    "qwen-image-2.1 fun unfused": Kind("qwen-image-2.1-fun", single_stream_fun(fused=False), kind=""),
    "minimax-h3 fun": Kind("minimax-h3-fun", minimax_fun(diffusers=False), kind=""),
    "minimax-h3 fun diffusers": Kind("minimax-h3-fun", minimax_fun(diffusers=True), kind=""),
    "minimax-h3 fun 2": Kind("minimax-h3-fun", minimax_fun(diffusers=False, blocks=10), kind=""),
    "flux.2 fun": Kind("flux2-fun", flux2_fun(), kind=""),
    "wan controlnet": Kind(
        "wan-controlnet",
        keys("control_encoder.0.0.weight", "patch_embedding.weight", "controlnet_blocks.0.weight"),
        kind="",
    ),
    "anima lllite first": Kind(
        "anima-lllite-first", keys("lllite_modules.0.down.weight", "lllite_conditioning1.conv1.bias"), kind=""
    ),
    "multitalk": Kind("multitalk", keys("audio_proj.proj1.weight", "blocks.0.audio_cross_attn.proj.weight"), kind=""),
    "ltx duration": Kind("ltx-duration", keys("duration_head.attention_pooler.query_tokens"), kind=""),
    "supir": Kind(
        "supir",
        keys("control_model.input_hint_block.0.weight", "project_modules.0.zero_conv.weight"),
        kind="",
    ),
    "supir whole checkpoint": Kind(
        "supir",
        keys(
            "model.control_model.input_hint_block.0.weight",
            "model.diffusion_model.project_modules.0.zero_conv.weight",
            "model.diffusion_model.input_blocks.0.0.weight",
        ),
        kind="",
    ),
    "uso style": Kind(
        "uso-style",
        keys("feature_embedder.mid_layer_norm.bias", "feature_embedder.high_projection.weight"),
        kind="",
    ),
    "svd controlnet": Kind(
        "svd-controlnet",
        keys(
            "controlnet_cond_embedding.conv_in.weight",
            "conv_in.weight",
            "down_blocks.0.resnets.0.temporal_res_block.conv1.weight",
        ),
        kind="",
    ),
    "controlnet-xs": Kind(
        "controlnet-xs",
        keys("control_to_base_for_conv_in.weight", "controlnet_cond_embedding.conv_in.weight", "conv_in.weight"),
        kind="",
    ),
    "t2i style": Kind("t2i-style", keys("style_embedding", "transformer_layes.0.ln_1.weight"), kind=""),
    "ip-adapter": Kind("ip-adapter", keys("image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight"), kind=""),
    "lora": Kind("lora", keys("lora_unet_input_blocks_1_1_proj_in.lora_down.weight"), kind=""),
    "lora diffusers": Kind("lora", keys("unet.down_blocks.0.attentions.0.proj_in.lora_A.weight"), kind=""),
    "vae": Kind("vae", keys("encoder.conv_in.weight", "decoder.conv_in.weight"), kind=""),
    "base model": Kind("base-model", keys("model.diffusion_model.input_blocks.0.0.weight"), kind=""),
}
"""Every kind of file, by a name for people."""
