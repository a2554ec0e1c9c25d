"""Keys and shapes of control files in every layout, official keys, small widths where the layout allows it.

Sources: lllyasviel/ControlNet `cldm/cldm.py` (LDM layout), diffusers' own classes (its layouts),
stabilityai/control-lora (Control-LoRA), TencentARC/T2I-Adapter `ldm/modules/encoders/adapter.py`, kohya-ss/sd-scripts
`networks/control_net_lllite.py`; of files that ZeroConv does not run only the keys that tell what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from zeroconv.storage.weights import shapes_of

from support.checkpoints import (
    SD15,
    SDXL_MID,
    Dimensions,
    Shapes,
    controlnet_shapes,
    convolution,
    linear,
    norm,
)

WIDTH = 32
SDXL_SMALL = replace(SDXL_MID, depths=(0, 0, 0, 0, 0, 0), middle_depth=0)
LIBRARY = {"block_out_channels": (32, 64, 128, 128), "norm_num_groups": 32}


def small(dimensions: Dimensions, width: int = WIDTH) -> Dimensions:
    return replace(dimensions, channels=width)


def ldm(dimensions: Dimensions, width: int = WIDTH) -> Callable[[], Shapes]:
    return lambda: controlnet_shapes(small(dimensions, width))


def under(prefix: str, shapes: Callable[[], Shapes], **more: tuple[int, ...]) -> Callable[[], Shapes]:
    return lambda: {prefix + key: shape for key, shape in shapes().items()} | more


def whole_checkpoint() -> Shapes:
    """What lllyasviel's first ControlNets were: Stable Diffusion, its schedule and the ControlNet in one file."""
    rest: Shapes = {"betas": (1000,), "alphas_cumprod": (1000,), "sqrt_one_minus_alphas_cumprod": (1000,), "logvar": ()}
    rest |= {"model.diffusion_model.out.2.bias": (4,), "first_stage_model.decoder.conv_in.bias": (4,)}
    rest |= {"cond_stage_model.transformer.text_model.final_layer_norm.bias": (8,)}
    return under("control_model.", ldm(SD15))() | rest


def union(types: int, width: int = WIDTH) -> Callable[[], Shapes]:
    """xinsir's file in LDM keys; `in_proj_weight` is a bare parameter there."""

    def shapes() -> Shapes:
        time, token = 4 * width, "transformer_layes.0"
        made = controlnet_shapes(small(SDXL_MID, width)) | {"task_embedding": (types, width)}
        made |= linear("control_add_embedding.linear_1", 256 * types, time)
        made |= linear("control_add_embedding.linear_2", time, time) | linear("spatial_ch_projs", width, width)
        made |= {f"{token}.attn.in_proj_weight": (3 * width, width), f"{token}.attn.in_proj_bias": (3 * width,)}
        made |= linear(f"{token}.attn.out_proj", width, width) | norm(f"{token}.ln_1", width)
        made |= norm(f"{token}.ln_2", width) | linear(f"{token}.mlp.c_fc", width, 4 * width)
        return made | linear(f"{token}.mlp.c_proj", 4 * width, width)

    return shapes


def library(name: str, **settings: object) -> Callable[[], Shapes]:
    """The state dict of one of diffusers' own classes."""

    def shapes() -> Shapes:
        import diffusers

        with torch.device("meta"):
            model = getattr(diffusers, name)(**settings)
        return shapes_of(model.state_dict())

    return shapes


def sparse_ctrl(rgb: bool) -> Callable[[], Shapes]:
    """diffusers' SparseCtrl: of latents, or of drawings."""
    channels = {"conditioning_channels": 4 if rgb else 3, "use_simplified_condition_embedding": rgb}
    return library_controlnet("SparseControlNetModel", cross_attention_dim=768, **channels)


def animatediff(shapes: Callable[[], Shapes]) -> Callable[[], Shapes]:
    """A SparseCtrl of diffusers in AnimateDiff's own keys (diffusers' conversion script, the other way round)."""
    names = {"attn1.": "attention_blocks.0.", "pos_embed.": "attention_blocks.0.pos_encoder."}
    names |= {"norm1.": "norms.0.", "norm3.": "ff_norm."}

    def name(key: str) -> str:
        before, moving, inner = key.partition(".motion_modules.")
        if not moving:
            return key
        number, _, rest = inner.partition(".")
        for theirs, own in names.items():
            rest = rest.replace(f"transformer_blocks.0.{theirs}", f"transformer_blocks.0.{own}")
        return f"{before}{moving}{number}.temporal_transformer.{rest}"

    return lambda: {name(key): shape for key, shape in shapes().items()}


def library_controlnet(name: str = "ControlNetModel", **settings: object) -> Callable[[], Shapes]:
    return library(name, conditioning_embedding_out_channels=(16, 32, 96, 256), **{**LIBRARY, **settings})


XL = {
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
    "cross_attention_dim": 2048,
    "block_out_channels": (32, 64, 128),
    "attention_head_dim": (1, 1, 2),
    "use_linear_projection": True,
}
PLAIN, CROSS = "DownBlock2D", "CrossAttnDownBlock2D"
XL_FULL = {**XL, "down_block_types": (PLAIN, CROSS, CROSS), "transformer_layers_per_block": (1, 2, 10)}
XL_MID = {**XL, "down_block_types": (PLAIN, PLAIN, CROSS), "transformer_layers_per_block": (1, 1, 1)}
XL_UNION = {**XL_MID, "block_out_channels": (320, 32, 64), "attention_head_dim": (5, 1, 1)}


def control_lora(dimensions: Dimensions, rank: int = 4, width: int = WIDTH) -> Callable[[], Shapes]:
    """Low-rank matrices for the encoder's weights; hint encoder, zero convolutions, biases and norms whole."""

    def shapes() -> Shapes:
        made: Shapes = {"lora_controlnet": (0,)}
        for key, shape in controlnet_shapes(small(dimensions, width)).items():
            whole = key.startswith(("zero_convs", "middle_block_out", "input_hint_block"))
            if whole or len(shape) == 1:
                made[key] = shape
                continue
            module = key.removesuffix(".weight")
            made |= {f"{module}.up": (shape[0], rank, *(1,) * (len(shape) - 2)), f"{module}.down": (rank, *shape[1:])}
        return made

    return shapes


def without_hint_encoder(shapes: Shapes) -> Shapes:
    return {key: shape for key, shape in shapes.items() if not key.startswith("input_hint_block.")}


def is_linear(key: str, shape: tuple[int, ...]) -> bool:
    """Whether a weight of an LDM ControlNet is a linear layer's: matrices are, and only they."""
    return key.endswith(".weight") and len(shape) == 2


def lora_layers(shapes: Shapes, rank: int) -> Shapes:
    made: Shapes = {}
    for key, shape in shapes.items():
        if is_linear(key, shape):
            layer = f"{key.removesuffix('.weight')}.lora_layer"
            made |= {f"{layer}.down.weight": (rank, shape[1]), f"{layer}.up.weight": (shape[0], rank)}
    return made


def ctrlora(dimensions: Dimensions, rank: int = 4, width: int = WIDTH) -> Callable[[], Shapes]:
    """What xyfJASON/ctrlora stores of a CtrLoRA (`check_key` of its `api.py`)."""

    def shapes() -> Shapes:
        base = without_hint_encoder(controlnet_shapes(small(dimensions, width)))
        switched = ("zero_convs", "middle_block_out", "norm")
        return lora_layers(base, rank) | {key: s for key, s in base.items() if any(part in key for part in switched)}

    return under("control_model.", shapes)


def ctrlora_full(dimensions: Dimensions, width: int = WIDTH) -> Callable[[], Shapes]:
    """A network that was trained further as a whole."""
    return under("control_model.", lambda: without_hint_encoder(controlnet_shapes(small(dimensions, width))))


def ctrlora_base(dimensions: Dimensions, rank: int = 4, width: int = WIDTH) -> Callable[[], Shapes]:
    """The base with the matrices of the task that was trained last."""
    return lambda: ctrlora_full(dimensions, width)() | ctrlora(dimensions, rank, width)()


def adapter(channels_in: int, width: int = WIDTH, learned_down: bool = False) -> Callable[[], Shapes]:
    """A full T2I-Adapter: two residual blocks at each of four levels, `in_conv` where the width changes."""

    def shapes() -> Shapes:
        widths = [width, 2 * width, 4 * width, 4 * width]
        made, before = convolution("conv_in", channels_in, width, 3), width
        for level, channels in enumerate(widths):
            first = f"body.{2 * level}"
            halved = level == 2 if channels_in in (256, 768) else level > 0
            if halved and learned_down:
                made |= convolution(f"{first}.down_opt.op", before, before, 3)
            if channels != before:
                made |= convolution(f"{first}.in_conv", before, channels, 1)
            for block in (first, f"body.{2 * level + 1}"):
                made |= convolution(f"{block}.block1", channels, channels, 3)
                made |= convolution(f"{block}.block2", channels, channels, 1)
            before = channels
        return made

    return shapes


def light_adapter(channels_in: int = 192, width: int = WIDTH) -> Shapes:
    made, before = Shapes(), channels_in
    for level, channels in enumerate([width, 2 * width, 4 * width, 4 * width]):
        inner = channels // 4
        made |= convolution(f"body.{level}.in_conv", before, inner, 1)
        for block in range(4):
            made |= convolution(f"body.{level}.body.{block}.block1", inner, inner, 3)
            made |= convolution(f"body.{level}.body.{block}.block2", inner, inner, 3)
        made |= convolution(f"body.{level}.out_conv", inner, channels, 1)
        before = channels
    return made


def lllite_names(layers: dict[int, int], middle: int) -> Iterator[str]:
    """Module names of an SDXL file. layers: transformer layers of each input block that has attention."""
    blocks = [(f"input_blocks_{block}_1", count) for block, count in layers.items()] + [("middle_block_1", middle)]
    for block, count in blocks:
        for layer in range(count):
            for projection in ("attn1_to_q", "attn1_to_k", "attn1_to_v", "attn2_to_q"):
                yield f"lllite_unet_{block}_transformer_blocks_{layer}_{projection}"


SDXL_LAYERS = {4: 2, 5: 2, 7: 10, 8: 10}


def lllite(
    width: int = 64, layers: dict[int, int] = SDXL_LAYERS, middle: int = 10, hint_width: int = 8, hidden: int = 8
) -> Callable[[], Shapes]:
    """width: of the UNet at its second level; twice that below."""

    def shapes() -> Shapes:
        made = Shapes()
        for name in lllite_names(layers, middle):
            deep = "blocks_4" not in name and "blocks_5" not in name
            made |= convolution(f"{name}.conditioning1.0", 3, hint_width // 2, 4)
            if deep:
                made |= convolution(f"{name}.conditioning1.2", hint_width // 2, hint_width // 2, 4)
            last, side = ("4", 2) if deep else ("2", 4)
            made |= convolution(f"{name}.conditioning1.{last}", hint_width // 2, hint_width, side)
            tokens = 2 * width if deep else width
            made |= linear(f"{name}.down.0", tokens, hidden) | linear(f"{name}.mid.0", hidden + hint_width, hidden)
            made |= linear(f"{name}.up.0", hidden, tokens)
        return made

    return shapes


def single_stream_fun(width: int = 32, head: int = 16, blocks: int = 2, fused: bool = True) -> Callable[[], Shapes]:
    """A Fun ControlNet of Qwen-Image-2.1. fused: whether the gate of its feed-forward lies in one matrix with it."""

    def shapes() -> Shapes:
        made = linear("control_img_in", 129, width)
        for index in range(blocks):
            block = f"control_blocks.{index}"
            for part in ("to_q", "to_k", "to_v", "to_out.0"):
                made |= {f"{block}.attn.{part}.weight": (width, width)}
            made |= {f"{block}.attn.norm_{part}.weight": (head,) for part in "qk"}
            parts = ("gate_up",) if fused else ("proj", "gate")
            made |= {f"{block}.img_mlp.{part}.weight": (3 * width * (1 + fused), width) for part in parts}
            made |= {f"{block}.img_mlp.out.weight": (width, 3 * width)} | linear(f"{block}.after_proj", width, width)
        return made | linear("control_blocks.0.before_proj", width, width)

    return shapes


def minimax_fun(diffusers: bool, width: int = 32, head: int = 8, blocks: int = 5) -> Callable[[], Shapes]:
    """A Fun ControlNet of MiniMax-H3. diffusers: in its library's keys, as published, else in ComfyUI's."""

    def shapes() -> Shapes:
        made = linear("control_proj_in", 49 * 4, width) | linear("control_blocks.0.before_proj", width, width)
        for index in range(blocks):
            block, norm = f"control_blocks.{index}", "norm_" if diffusers else ""
            parts = ("to_q", "to_k", "to_v") if diffusers else ("qkv_proj",)
            out, into, back = (
                ("to_out.0", "ff.net.0.proj", "ff.net.2") if diffusers else ("out_proj", "mlp.fc1", "mlp.fc2")
            )
            made |= {f"{block}.attn.{part}.weight": (3 * width // len(parts), width) for part in parts}
            made |= {f"{block}.attn.{norm}{part}{'' if diffusers else '_norm'}.weight": (head,) for part in "qk"}
            made |= {f"{block}.attn.{out}.weight": (width, width), f"{block}.{into}.weight": (4 * width, width)}
            made |= {f"{block}.{back}.weight": (width, 2 * width)} | linear(f"{block}.after_proj", width, width)
            made |= linear(f"{block}.adaln_proj.linear", 16, 6 * width)
        return made

    return shapes


def flux2_fun(width: int = 32, head: int = 16, blocks: int = 4) -> Callable[[], Shapes]:
    """Alibaba's Fun ControlNet of Flux.2, whose blocks have no biases."""

    def shapes() -> Shapes:
        made = linear("control_img_in", 260, width) | linear("control_transformer_blocks.0.before_proj", width, width)
        for index in range(blocks):
            block = f"control_transformer_blocks.{index}"
            parts = [f"to_{part}" for part in "qkv"] + [f"add_{part}_proj" for part in "qkv"]
            made |= {f"{block}.attn.{part}.weight": (width, width) for part in (*parts, "to_out.0", "to_add_out")}
            made |= {f"{block}.attn.norm_{part}.weight": (head,) for part in ("q", "k", "added_q", "added_k")}
            for part in ("ff", "ff_context"):
                made |= {f"{block}.{part}.linear_in.weight": (6 * width, width)}
                made |= {f"{block}.{part}.linear_out.weight": (width, 3 * width)}
            made |= linear(f"{block}.after_proj", width, width)
        return made

    return shapes


def keys(*names: str) -> Callable[[], Shapes]:
    """A file that only its keys matter of."""
    return lambda: dict.fromkeys(names, (4, 4))


def scaled(shapes: Callable[[], Shapes]) -> Callable[[], Shapes]:
    """With a scale beside every matrix, as ComfyUI stores scaled fp8."""

    def made() -> Shapes:
        plain = shapes()
        names = [key.removesuffix(".weight") for key, shape in plain.items() if len(shape) == 2]
        return plain | {f"{name}.scale_weight": () for name in names} | {"scaled_fp8": (0,)}

    return made
