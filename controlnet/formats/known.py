"""Files that ZeroConv knows and does not run: what they are and what runs them, in a sentence.

Recognised by keys: Stable Video's ControlNets, diffusers' ControlNet-XS, T2I style adapters, IP-Adapters, LoRAs, whole
base models, and what ComfyUI's `comfy_extras/nodes_model_patch.py` (0.33, and the newest that could be read) and
`comfy.controlnet` load beside. A ControlNet-XS needs a base UNet that hands its features over at every block: that is
not residuals of one file.
"""

from collections.abc import Callable, Mapping

from torch import Tensor

from ..networks.dimensions import Shapes
from .format import Description, Format, has


def _known(identifier: str, label: str, recognise: Callable[[Shapes], bool], needs: str) -> Format:
    def refuse(tensors: dict[str, Tensor], base: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
        raise ValueError(f"This file is {label}. {needs}")

    def describe(shapes: Shapes) -> Description:
        return Description("another kind of model")

    return Format(identifier, label, recognise, refuse, describe, needs=needs)


def _starts(*beginnings: str) -> Callable[[Shapes], bool]:
    return lambda shapes: any(key.startswith(beginnings) for key in shapes)


def is_video(shapes: Shapes) -> bool:
    """Whether layers along the time axis are among a ControlNet's."""
    return has(shapes, "controlnet") and (has(shapes, "motion_modules") or has(shapes, "temporal_res_block"))


def is_cross(shapes: Shapes) -> bool:
    """Whether it is a ControlNet-XS, whose blocks talk to the base model's in both directions."""
    return "control_to_base_for_conv_in.weight" in shapes or has(shapes, "ctrl_to_base")


def is_minimax_fun(shapes: Shapes) -> bool:
    """Whether it is a Fun ControlNet of MiniMax-H3, in ComfyUI's keys or diffusers'."""
    block = "control_blocks.0."
    return {"control_proj_in.weight", f"{block}adaln_proj.linear.weight", f"{block}before_proj.weight"} <= {*shapes}


def is_qwen21_fun(shapes: Shapes) -> bool:
    """Whether it is a Fun ControlNet of Qwen-Image-2.1, whose blocks see text and picture in one sequence."""
    return {"control_img_in.weight", "control_blocks.0.img_mlp.out.weight"} <= {*shapes}


KNOWN = (
    _known(
        "qwen-image-2.1-fun",
        "a Fun ControlNet for Qwen-Image-2.1",
        is_qwen21_fun,
        "Put it into models/model_patches and use Load Model Patch and Apply Qwen Image 2.1 Fun ControlNet of a "
        "ComfyUI newer than 0.33.",
    ),
    _known(
        "minimax-h3-fun",
        "a Fun ControlNet for MiniMax-H3",
        is_minimax_fun,
        "Put it into models/model_patches and use Load Model Patch and Apply MiniMax H3 Fun ControlNet of ComfyUI 0.35 "
        "or newer.",
    ),
    _known(
        "flux2-fun",
        "a Fun ControlNet for Flux.2",
        lambda shapes: {"control_img_in.weight", "control_transformer_blocks.0.before_proj.weight"} <= {*shapes},
        "No ComfyUI runs it by itself: use it with a pack made for it, such as comfyui-flux2fun-controlnet.",
    ),
    _known(
        "wan-controlnet",
        "a ControlNet for Wan in diffusers' keys",
        lambda shapes: {"control_encoder.0.0.weight", "patch_embedding.weight"} <= {*shapes},
        "No ComfyUI runs it by itself: use it with the pack ComfyUI-WanVideoWrapper.",
    ),
    _known(
        "anima-lllite-first",
        "a ControlNet-LLLite for Anima of the first version, whose parts have numbers instead of names",
        _starts("lllite_modules."),
        "No ComfyUI runs it: use a file of version 2, whose parts are named lllite_dit_blocks_...",
    ),
    _known(
        "multitalk",
        "a MultiTalk model for Wan",
        lambda shapes: "audio_proj.proj1.weight" in shapes,
        "It moves lips to a voice: put it into models/model_patches and use Load Model Patch and "
        "WanInfiniteTalkToVideo.",
    ),
    _known(
        "ltx-duration",
        "a duration head for LTX",
        lambda shapes: any(key.endswith("attention_pooler.query_tokens") for key in shapes),
        "It tells how long a spoken line takes: put it into models/model_patches and use Load Model Patch.",
    ),
    _known(
        "svd-controlnet",
        "a ControlNet for Stable Video Diffusion",
        lambda shapes: is_video(shapes) and not has(shapes, "motion_modules"),
        "It needs a video model: use it with the pack Advanced-ControlNet.",
    ),
    _known(
        "controlnet-xs",
        "a ControlNet-XS",
        is_cross,
        "It is woven into the base model block by block, which ComfyUI's models do not allow: use it with diffusers.",
    ),
    _known(
        "supir",
        "a SUPIR model",
        lambda shapes: has(shapes, "control_model.input_hint_block.0.weight") and has(shapes, "project_modules."),
        "Put it into models/model_patches and use Load Model Patch and Apply SUPIR Patch of a newer ComfyUI.",
    ),
    _known(
        "uso-style",
        "a USO style reference for Flux",
        lambda shapes: has(shapes, "feature_embedder.mid_layer_norm.bias"),
        "Put it into models/model_patches and use Load Model Patch and Apply USO Style Reference.",
    ),
    _known(
        "t2i-style",
        "a T2I style adapter",
        lambda shapes: "style_embedding" in shapes,
        "Put it into models/style_models and use ComfyUI's Load Style Model and Apply Style Model.",
    ),
    _known(
        "ip-adapter",
        "an IP-Adapter",
        _starts("image_proj.", "ip_adapter."),
        "It shows the model a picture, not a hint: use it with an IP-Adapter pack, in models/ipadapter.",
    ),
    _known(
        "lora",
        "a LoRA",
        lambda shapes: _starts("lora_unet_", "lora_te", "lora_transformer_")(shapes) or has(shapes, ".lora_A."),
        "It changes a base model and is not a control: put it into models/loras and use Load LoRA.",
    ),
    _known(
        "vae",
        "a VAE",
        lambda shapes: "decoder.conv_in.weight" in shapes and "encoder.conv_in.weight" in shapes,
        "Put it into models/vae and use Load VAE.",
    ),
    _known(
        "base-model",
        "a base model without a ControlNet",
        lambda shapes: _starts("model.diffusion_model.")(shapes) and not has(shapes, "control_model."),
        "Put it into models/checkpoints and use Load Checkpoint.",
    ),
)
