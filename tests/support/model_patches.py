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
PATCHES = {"qwen blockwise": "qwen-image", "qwen blockwise inpaint": "qwen-image"} | dict.fromkeys(
    Z_IMAGE_LAYERS, "z-image"
)
"""The base model of every kind of file."""


def nodes():
    """ComfyUI's nodes of model patches."""
    return importlib.import_module("comfy_extras.nodes_model_patch")


def has_z_image() -> bool:
    return hasattr(nodes(), "ZImageFunControlnet")


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
    generator = torch.Generator().manual_seed(7)
    made = {}
    for key, shape in shapes.items():
        scale = 0.3 if len(shape) < 2 else shape[1] ** -0.5
        made[key] = torch.randn(shape, generator=generator) * scale
    if name == "z-image 2.0":  # published so: its layers do the refiner's work
        for key in made:
            if key.startswith("control_noise_refiner.") and ".after_proj." in key:
                made[key].zero_()
    return made


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


def tensors(name: str) -> dict[str, Tensor]:
    """The file of one of PATCHES."""
    if name in Z_IMAGE_LAYERS:
        return z_image(name)
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
    else:
        beside = weights["img_in.weight"].shape[1] - 64
        network = nodes().QwenImageBlockWiseControlNet(dim=QWEN_WIDTH, additional_in_dim=beside, **settings)
    network.load_state_dict(weights)
    return comfy.model_patcher.ModelPatcher(
        network.eval().requires_grad_(False), torch.device("cpu"), torch.device("cpu")
    )


def core_apply(model, patch, vae, image: Tensor, strength: float = 1.0, **inpainting):
    """The MODEL with the patch, by ComfyUI's own node."""
    node = nodes().QwenImageDiffsynthControlnet()
    return node.diffsynth_controlnet(model, patch, vae, image, strength, **inpainting)[0]
