"""Tiny files of model patches with the official keys, and what ComfyUI's own nodes make of them."""

import importlib

import torch
from torch import Tensor

from support.comfy_host import import_host
from support.hosted_files import OPS, filled

import_host()

import comfy.model_management
import comfy.model_patcher
import comfy.ops

QWEN_WIDTH, Z_IMAGE_WIDTH, HEAD = 32, 256, 16
Z_IMAGE_LAYERS = {"z-image": 6, "z-image 2.0": 15, "z-image 2.1": 15, "z-image lite": 3, "z-image tile": 15}
ANIMA_WIDTH, ANIMA_BLOCKS = 64, 3
ANIMA = {"anima lllite": (3, False), "anima lllite inpaint": (4, False), "anima lllite aspp": (4, True)}
"""Channels of the hint, and whether the encoder looks around at several distances."""
UNI3C_WIDTH, WAN_WIDTH = 192, 96
PATCHES = {
    **dict.fromkeys(("qwen blockwise", "qwen blockwise inpaint"), "qwen-image"),
    **dict.fromkeys(Z_IMAGE_LAYERS, "z-image"),
    **dict.fromkeys(ANIMA, "anima"),
    **dict.fromkeys(("wan uni3c", "wan uni3c diffusers"), "wan"),
}
"""The base model of every kind of file."""


def nodes():
    """ComfyUI's nodes of model patches."""
    return importlib.import_module("comfy_extras.nodes_model_patch")


def has_z_image() -> bool:
    return hasattr(nodes(), "ZImageFunControlnet")


def here() -> list[str]:
    """The kinds of file that this ComfyUI runs."""
    needed = {"z-image": "ZImageFunControlnet", "anima": "AnimaLLLiteApply", "wan": "WanUni3CControlnetApply"}
    return [name for name, base in PATCHES.items() if base not in needed or hasattr(nodes(), needed[base])]


def qwen_blockwise(beside: int = 0, blocks: int = 60, width: int = QWEN_WIDTH) -> dict[str, Tensor]:
    """DiffSynth's file: a block for every block of the base model."""
    network = torch.nn.Module()
    network.img_in = OPS.Linear(64 + beside, width)
    network.controlnet_blocks = torch.nn.ModuleList()
    for _ in range(blocks):
        block = torch.nn.Module()
        block.x_rms, block.y_rms = (torch.nn.RMSNorm(width, eps=1e-6) for _ in range(2))
        block.input_proj, block.output_proj = OPS.Linear(width, width), OPS.Linear(width, width)
        network.controlnet_blocks.append(block)
    return filled(network)


def z_image(name: str, width: int = Z_IMAGE_WIDTH, head: int = HEAD) -> dict[str, Tensor]:
    """Alibaba's file: first version of 6 layers, later ones that also act while the noise is refined."""
    layers = Z_IMAGE_LAYERS[name]
    later = layers != 6
    shapes = {
        "control_all_x_embedder.2-1.weight": (width, 4 * (33 if later else 16)),
        "control_all_x_embedder.2-1.bias": (width,),
    }
    places = [("control_layers", index, True) for index in range(layers)]
    places += [("control_noise_refiner", index, later) for index in range(2)]
    for part, index, gives in places:
        shapes |= _z_image_block(f"{part}.{index}", width, head)
        if gives:
            shapes |= _linear(f"{part}.{index}.after_proj", width, width)
        if gives and not index:
            shapes |= _linear(f"{part}.{index}.before_proj", width, width)
    made = random_weights(shapes)
    if name == "z-image 2.0":  # published so: its layers do the refiner's work
        for key in made:
            if key.startswith("control_noise_refiner.") and ".after_proj." in key:
                made[key].zero_()
    return made


def random_weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(7)
    scales = {key: 0.3 if len(shape) < 2 else torch.Size(shape[1:]).numel() ** -0.5 for key, shape in shapes.items()}
    return {key: torch.randn(shape, generator=generator) * scales[key] for key, shape in shapes.items()}


def _linear(name: str, rows: int, columns: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}


def _z_image_block(name: str, width: int, head: int) -> dict[str, tuple[int, ...]]:
    inner = -(-int(8 / 3 * width) // 256) * 256
    shapes: dict[str, tuple[int, ...]] = {
        f"{name}.attention.{part}.weight": (width, width) for part in ("to_q", "to_k", "to_v", "to_out.0")
    }
    shapes |= {f"{name}.attention.norm_{part}.weight": (head,) for part in "qk"}
    shapes |= {f"{name}.feed_forward.w{number}.weight": (inner, width) for number in (1, 3)}
    shapes |= {f"{name}.feed_forward.w2.weight": (width, inner)}
    norms = ("attention_norm1", "attention_norm2", "ffn_norm1", "ffn_norm2")
    shapes |= {f"{name}.{norm}.weight": (width,) for norm in norms}
    return shapes | _linear(f"{name}.adaLN_modulation.0", 4 * width, min(width, 256))


def anima_lllite(name: str, width: int = ANIMA_WIDTH, blocks: int = ANIMA_BLOCKS) -> dict[str, Tensor]:
    """kohya's file of version 2."""
    channels, aspp = ANIMA[name]
    hint, inner = 16, 12
    shapes: dict[str, tuple[int, ...]] = {}

    def convolution(part: str, rows: int, columns: int, side: int) -> None:
        shapes.update({f"{part}.weight": (rows, columns, side, side), f"{part}.bias": (rows,)})

    def norm(part: str, count: int) -> None:
        shapes.update({f"{part}.weight": (count,), f"{part}.bias": (count,)})

    encoder = "lllite_conditioning1"
    for index, (rows, columns, side) in enumerate([(8, channels, 4), (8, 8, 3), (hint, 8, 4)], start=1):
        convolution(f"{encoder}.conv{index}", rows, columns, side)
        norm(f"{encoder}.norm{index}", rows)
    for index in (1, 2):
        convolution(f"{encoder}.resblocks.0.conv{index}", hint, hint, 3)
        norm(f"{encoder}.resblocks.0.norm{index}", hint)
    if aspp:
        parts = [(f"branches.{number}", hint, side) for number, side in enumerate([1, 3, 3])]
        for part, columns, side in [*parts, ("global_conv", hint, 1), ("proj", 4 * hint, 1)]:
            convolution(f"{encoder}.aspp.{part}.0", hint, columns, side)
            norm(f"{encoder}.aspp.{part}.1", hint)
    convolution(f"{encoder}.proj", inner, hint, 1)
    norm(f"{encoder}.out_norm", inner)
    layers = [f"self_attn_{part}_proj" for part in "qkv"] + ["cross_attn_q_proj", "mlp_layer1"]
    for module in [f"lllite_dit_blocks_{block}_{layer}" for block in range(blocks) for layer in layers]:
        shapes |= _linear(f"{module}.down", 8, width) | _linear(f"{module}.mid", 8, 8 + inner)
        shapes |= _linear(f"{module}.cond_to_film", 16, inner) | _linear(f"{module}.up", width, 8)
        shapes[f"{module}.depth_embed"] = (inner,)
    return random_weights(shapes)


UNI3C = {
    "in_channels": 36, "conv_out_dim": WAN_WIDTH, "dim": UNI3C_WIDTH, "ffn_dim": 64, "num_layers": 3,
    "time_embed_dim": WAN_WIDTH, "out_proj_dim": WAN_WIDTH, "add_channels": 7, "mid_channels": 16,
}  # fmt: skip
"""What the host's class is told of the tiny file."""


def uni3c(diffusers: bool) -> dict[str, Tensor]:
    """The file of Uni3C, whose attention has diffusers' names as published, and Wan's own ones as converted."""
    q, k, v, out = ("to_q", "to_k", "to_v", "to_out.0") if diffusers else "qkvo"
    width, base = UNI3C_WIDTH, WAN_WIDTH
    shapes: dict[str, tuple[int, ...]] = {
        "controlnet_patch_embedding.weight": (base, 36, 1, 2, 2), "controlnet_patch_embedding.bias": (base,),
        "controlnet_mask_embedding.mask_proj.0.weight": (16, 7, 4, 8, 8),
        "controlnet_mask_embedding.mask_proj.0.bias": (16,),
        "controlnet_mask_embedding.mask_proj.1.weight": (16,), "controlnet_mask_embedding.mask_proj.1.bias": (16,),
        "controlnet_mask_embedding.mask_zero_proj.weight": (base, 16, 1, 2, 2),
        "controlnet_mask_embedding.mask_zero_proj.bias": (base,),
        **_linear("proj_in", width, base),
    }  # fmt: skip
    for index in range(UNI3C["num_layers"]):
        block = f"controlnet_blocks.{index}"
        for part in (q, k, v, out):
            shapes |= _linear(f"{block}.self_attn.{part}", width, width)
        shapes |= {f"{block}.self_attn.norm_{part}.weight": (width,) for part in "qk"}
        for norm in ("norm1", "norm2"):
            shapes |= _linear(f"{block}.{norm}.linear", 3 * width, base)
            shapes |= {f"{block}.{norm}.norm.weight": (width,), f"{block}.{norm}.norm.bias": (width,)}
        shapes |= _linear(f"{block}.ffn.0", 64, width) | _linear(f"{block}.ffn.2", width, 64)
        shapes |= _linear(f"proj_out.{index}", base, width)
    return random_weights(shapes)


def metadata(name: str) -> dict[str, str]:
    """What the file says beside its tensors."""
    if name not in ANIMA:
        return {}
    masked, aspp = ANIMA[name][0] == 4, ANIMA[name][1]
    said = {"lllite.version": "2", "lllite.inpaint_masked_input": str(masked).lower()}
    return said | ({"lllite.aspp_dilations": "1,2,4"} if aspp else {})


def tensors(name: str) -> dict[str, Tensor]:
    """The file of one of PATCHES."""
    if name in Z_IMAGE_LAYERS:
        return z_image(name)
    if name in ANIMA:
        return anima_lllite(name)
    if "uni3c" in name:
        return uni3c("diffusers" in name)
    return qwen_blockwise(beside=4 if "inpaint" in name else 0)


def core_patch(name: str, weights: dict[str, Tensor]) -> comfy.model_patcher.ModelPatcher:
    """The MODEL_PATCH that ComfyUI's loader would make of a file, which takes the official widths for granted."""
    settings = {"dtype": torch.float32, "operations": comfy.ops.manual_cast}
    if name in Z_IMAGE_LAYERS:
        later = {} if name == "z-image" else {"additional_in_dim": 17, "refiner_control": True}
        network = importlib.import_module("comfy.ldm.lumina.controlnet").ZImage_Control(
            dim=Z_IMAGE_WIDTH, n_heads=Z_IMAGE_WIDTH // HEAD, n_kv_heads=Z_IMAGE_WIDTH // HEAD,
            n_control_layers=Z_IMAGE_LAYERS[name], broken=name == "z-image 2.0", **later, **settings,
        )  # fmt: skip
        weights = nodes().z_image_convert(weights)
    elif name in ANIMA:
        network = importlib.import_module("comfy.ldm.anima.lllite").AnimaLLLite(weights, metadata(name), **settings)
    elif "uni3c" in name:
        network, weights = (
            importlib.import_module("comfy.ldm.wan.uni3c").WanUni3CControlnet(**UNI3C, **settings),
            uni3c(False),
        )
    else:
        beside = weights["img_in.weight"].shape[1] - 64
        network = nodes().QwenImageBlockWiseControlNet(dim=QWEN_WIDTH, additional_in_dim=beside, **settings)
    network.load_state_dict(weights)
    return comfy.model_patcher.ModelPatcher(
        network.eval().requires_grad_(False), torch.device("cpu"), torch.device("cpu")
    )


def core_apply(model, patch, vae, image: Tensor, strength: float = 1.0, **inpainting):
    """The MODEL with the patch, by ComfyUI's own node."""
    start, end = inpainting.pop("start", 0.0), inpainting.pop("end", 1.0)
    if type(patch.model).__name__ == "WanUni3CControlnet":
        return nodes().WanUni3CControlnetApply().apply_patch(model, patch, vae, image, strength, start, end)[0]
    if type(patch.model).__name__ == "AnimaLLLite":
        return nodes().AnimaLLLiteApply().apply_patch(model, patch, image, strength, start, end, **inpainting)[0]
    node = nodes().QwenImageDiffsynthControlnet()
    return node.diffsynth_controlnet(model, patch, vae, image, strength, **inpainting)[0]
