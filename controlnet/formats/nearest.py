"""For a file of no known kind: what it looks like, which kind it resembles most, what it lacks, and what may run it."""

import re
from collections import Counter

from ..networks.dimensions import Shapes

LOAD, PATCH = "Load ControlNet Model", "Load Model Patch"
"""ComfyUI's own nodes, by what a family of files is run as."""

SIGNS: dict[str, tuple[str, tuple[str, ...]]] = {
    "ControlNet, LDM layout": (
        LOAD,
        (
            "zero_convs.0.0.weight",
            "input_hint_block.0.weight",
            "middle_block_out.0.weight",
            "input_blocks.0.0.weight",
        ),
    ),
    "ControlNet, diffusers layout": (
        LOAD,
        (
            "controlnet_cond_embedding.conv_in.weight",
            "controlnet_down_blocks.0.weight",
            "controlnet_mid_block.weight",
            "conv_in.weight",
        ),
    ),
    "Control-LoRA": (
        LOAD,
        ("lora_controlnet", "input_hint_block.0.weight", "zero_convs.0.0.weight", "time_embed.0.up"),
    ),
    "T2I-Adapter": (
        LOAD,
        ("body.0.block1.weight", "body.0.block2.weight", "body.1.block1.weight", "conv_in.weight"),
    ),
    "light T2I-Adapter": (LOAD, ("body.0.in_conv.weight", "body.0.out_conv.weight", "body.0.body.0.block1.weight")),
    "SD3 ControlNet": (
        LOAD,
        ("controlnet_blocks.0.weight", "pos_embed_input.proj.weight", "transformer_blocks.0.attn.to_q.weight"),
    ),
    "Flux ControlNet": (
        LOAD,
        ("controlnet_blocks.0.weight", "controlnet_x_embedder.weight", "context_embedder.weight", "x_embedder.weight"),
    ),
    "Qwen-Image ControlNet": (
        LOAD,
        (
            "controlnet_blocks.0.weight",
            "controlnet_x_embedder.weight",
            "img_in.weight",
            "transformer_blocks.0.img_mlp.net.0.proj.weight",
        ),
    ),
    "Fun ControlNet": (
        PATCH,
        (
            "control_img_in.weight",
            "control_blocks.0.before_proj.weight",
            "control_blocks.0.after_proj.weight",
            "control_blocks.0.attn.to_q.weight",
        ),
    ),
    "Qwen-Image block-wise ControlNet of DiffSynth": (
        PATCH,
        ("controlnet_blocks.0.y_rms.weight", "controlnet_blocks.0.x_rms.weight", "img_in.weight"),
    ),
    "Z-Image Fun ControlNet": (
        PATCH,
        (
            "control_all_x_embedder.2-1.weight",
            "control_layers.0.before_proj.weight",
            "control_layers.0.after_proj.weight",
        ),
    ),
    "ControlNet-LLLite for Anima": (
        PATCH,
        (
            "lllite_conditioning1.conv1.weight",
            "lllite_conditioning1.proj.weight",
            "lllite_dit_blocks_0_self_attn_q_proj.down.weight",
        ),
    ),
    "Uni3C ControlNet for Wan": (
        PATCH,
        ("controlnet_patch_embedding.weight", "proj_out.0.weight", "controlnet_blocks.0.ffn.0.bias"),
    ),
}
"""ComfyUI's node, and keys that every file of a kind has."""

WIDTHS = {
    320: ("SD1.5", "SDXL"),
    1536: ("SD3", "Wan 1.3B"),
    2048: ("Anima",),
    3072: ("Flux", "Qwen-Image"),
    3840: ("Z-Image",),
    4096: ("LTX", "Qwen-Image-2.1"),
    5120: ("Wan 14B",),
    5376: ("MiniMax-H3",),
    6144: ("Flux.2",),
}
"""Base models by the channels of their tokens, or of a UNet's first level."""

PREFIXES = ("", "control_model.", "adapter.")
NUMBERED = re.compile(r"(.*?control.*?\.)(\d+)\.", re.IGNORECASE)


def nearest(shapes: Shapes) -> str:
    """Sentences for a file of no known kind, each only where it applies: what it looks like, the nearest kind with a
    key that is missing, and ComfyUI's node that may run it."""
    found = {name: {key for key in keys if _holds(shapes, key)} for name, (_, keys) in SIGNS.items()}
    best = max(SIGNS, key=lambda name: len(found[name]) / len(SIGNS[name][1]))
    seen = _looks(shapes)
    if len(found[best]) < 2:
        return f"{seen}{_may_run(PATCH)}" if seen else ""
    node, keys = SIGNS[best]
    missing = next((key for key in keys if key not in found[best]), None)
    lack = f", but lacks '{missing}'" if missing else ""
    return f"{seen}It resembles a {best}{lack}. {_may_run(node)}"


def _looks(shapes: Shapes) -> str:
    """A sentence on its control blocks: how many, how wide, and which base models are as wide; empty without any."""
    blocks: dict[str, set[int]] = {}
    for key in shapes:
        if match := NUMBERED.match(key):
            blocks.setdefault(match[1], set()).add(int(match[2]))
    if not blocks:
        return ""
    name = max(blocks, key=lambda prefix: len(blocks[prefix]))
    widths = Counter(shape[-1] for key, shape in shapes.items() if key.startswith(name) and len(shape) == 2)
    if not widths:
        return ""
    width, count = widths.most_common(1)[0][0], len(blocks[name])
    alike = f", as those of {' and '.join(WIDTHS[width])}" if width in WIDTHS else ""
    return f"It looks like a control of {count} blocks with tokens of {width} channels{alike}. "


def _may_run(node: str) -> str:
    folder = "model_patches" if node == PATCH else "controlnet"
    return f"If it is newer than this ZeroConv, {node} of the newest ComfyUI may run it, from models/{folder}. "


def _holds(shapes: Shapes, key: str) -> bool:
    return any(prefix + key in shapes for prefix in PREFIXES)
