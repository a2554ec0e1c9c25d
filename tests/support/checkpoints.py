"""Generated model files: random weights in the official key layouts, small enough for two processor cores.

Sources of the layouts: CompVis/stable-diffusion `ldm/modules/diffusionmodules/openaimodel.py` (UNet),
lllyasviel/ControlNet `cldm/cldm.py` (ControlNet), openai/CLIP ViT-L/14 in its transformers form (text encoder),
madebyollin/taesd (autoencoder). ComfyUI tells the families apart by widths and depths that are fixed
(model_channels 320, the context width, SDXL's list of depths) and accepts any multipliers and block counts.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

REPOSITORY = Path(__file__).resolve().parent.parent.parent
CACHE = REPOSITORY / ".cache" / "models"

Shape = tuple[int, ...]
Shapes = dict[str, Shape]
StateDict = dict[str, torch.Tensor]

HINT_WIDTHS = (16, 16, 32, 32, 96, 96, 256)
ZERO_CONVOLUTIONS = ("zero_convs.", "middle_block_out.")
ZERO_CONVOLUTION_GAIN = 0.2
VAE_SCALE = 0.18215


@dataclass(frozen=True)
class Dimensions:
    """What shapes a UNet of the LDM family and its ControlNet."""

    context: int
    multipliers: tuple[int, ...]
    residual_blocks: tuple[int, ...]
    depths: tuple[int, ...]
    """Transformer layers of every residual block of the encoder."""
    middle_depth: int
    linear: bool
    """Whether transformers are entered through a linear layer (SD2, SDXL) or a 1x1 convolution (SD1.5)."""
    vector: int | None = None
    """Width of the vector with pooled prompt and sizes (SDXL)."""
    channels: int = 320


SD15_SMALL = Dimensions(768, (1, 1), (1, 1), (1, 1), 1, linear=False)
SD20_SMALL = Dimensions(1024, (1, 2), (1, 1), (1, 0), 1, linear=True)
SDXL_SMALL = Dimensions(2048, (1, 1, 1), (2, 2, 2), (0, 0, 1, 1, 2, 2), 1, linear=True, vector=2816)
SDXL_MID_SMALL = Dimensions(2048, (1, 1, 1), (2, 2, 2), (0, 0, 0, 0, 1, 1), 1, linear=True, vector=2816)
SD15 = Dimensions(768, (1, 2, 4, 4), (2, 2, 2, 2), (1, 1, 1, 1, 1, 1, 0, 0), 1, linear=False)
SD20 = Dimensions(1024, (1, 2, 4, 4), (2, 2, 2, 2), (1, 1, 1, 1, 1, 1, 0, 0), 1, linear=True)
SDXL = Dimensions(2048, (1, 2, 4), (2, 2, 2), (0, 0, 2, 2, 10, 10), 10, linear=True, vector=2816)
SDXL_MID = Dimensions(2048, (1, 2, 4), (2, 2, 2), (0, 0, 0, 0, 1, 1), 1, linear=True, vector=2816)


def unet_shapes(dimensions: Dimensions) -> Shapes:
    """Keys and shapes of a whole UNet."""
    shapes, skips = encoder_shapes(dimensions)
    channels = dimensions.channels * dimensions.multipliers[-1]
    depths = list(dimensions.depths)
    number = 0
    for level, multiplier in reversed(list(enumerate(dimensions.multipliers))):
        count = dimensions.residual_blocks[level]
        # The decoder has one block more than the encoder at each level; it repeats the last depth.
        level_depths = [depths.pop() for _ in range(count)]
        for block, depth in enumerate([level_depths[0], *level_depths]):
            key = f"output_blocks.{number}"
            width = dimensions.channels * multiplier
            shapes |= residual_block(f"{key}.0", channels + skips.pop(), width, dimensions)
            channels = width
            if depth:
                shapes |= transformer(f"{key}.1", channels, depth, dimensions)
            if level and block == count:
                shapes |= convolution(f"{key}.{2 if depth else 1}.conv", channels, channels, 3)
            number += 1
    return shapes | norm("out.0", channels) | convolution("out.2", channels, 4, 3)


def controlnet_shapes(dimensions: Dimensions, hint_channels: int = 3) -> Shapes:
    """Keys and shapes of a ControlNet in the layout of its authors, without prefix."""
    shapes, skips = encoder_shapes(dimensions)
    widths = (hint_channels, *HINT_WIDTHS, dimensions.channels)
    for index in range(len(widths) - 1):
        shapes |= convolution(f"input_hint_block.{2 * index}", widths[index], widths[index + 1], 3)
    for index, channels in enumerate(skips):
        shapes |= convolution(f"zero_convs.{index}.0", channels, channels, 1)
    return shapes | convolution("middle_block_out.0", skips[-1], skips[-1], 1)


def encoder_shapes(dimensions: Dimensions) -> tuple[Shapes, list[int]]:
    """Keys and shapes of encoder and middle block, and the width of every skip connection."""
    base, time = dimensions.channels, 4 * dimensions.channels
    shapes = linear("time_embed.0", base, time) | linear("time_embed.2", time, time)
    if dimensions.vector is not None:
        shapes |= linear("label_emb.0.0", dimensions.vector, time) | linear("label_emb.0.2", time, time)
    shapes |= convolution("input_blocks.0.0", 4, base, 3)
    skips = [base]
    depths = iter(dimensions.depths)
    for level, (multiplier, count) in enumerate(zip(dimensions.multipliers, dimensions.residual_blocks, strict=True)):
        if level:
            shapes |= convolution(f"input_blocks.{len(skips)}.0.op", skips[-1], skips[-1], 3)
            skips.append(skips[-1])
        for _ in range(count):
            key, width, depth = f"input_blocks.{len(skips)}", base * multiplier, next(depths)
            shapes |= residual_block(f"{key}.0", skips[-1], width, dimensions)
            if depth:
                shapes |= transformer(f"{key}.1", width, depth, dimensions)
            skips.append(width)
    width = skips[-1]
    shapes |= residual_block("middle_block.0", width, width, dimensions)
    shapes |= transformer("middle_block.1", width, dimensions.middle_depth, dimensions)
    shapes |= residual_block("middle_block.2", width, width, dimensions)
    return shapes, skips


def residual_block(key: str, inner: int, outer: int, dimensions: Dimensions) -> Shapes:
    shapes = norm(f"{key}.in_layers.0", inner) | convolution(f"{key}.in_layers.2", inner, outer, 3)
    shapes |= linear(f"{key}.emb_layers.1", 4 * dimensions.channels, outer)
    shapes |= norm(f"{key}.out_layers.0", outer) | convolution(f"{key}.out_layers.3", outer, outer, 3)
    if inner != outer:
        shapes |= convolution(f"{key}.skip_connection", inner, outer, 1)
    return shapes


def transformer(key: str, width: int, depth: int, dimensions: Dimensions) -> Shapes:
    shapes = norm(f"{key}.norm", width)
    for name in ("proj_in", "proj_out"):
        layer = linear if dimensions.linear else pointwise
        shapes |= layer(f"{key}.{name}", width, width)
    for index in range(depth):
        block = f"{key}.transformer_blocks.{index}"
        for name, context in (("attn1", width), ("attn2", dimensions.context)):
            shapes[f"{block}.{name}.to_q.weight"] = (width, width)
            shapes[f"{block}.{name}.to_k.weight"] = (width, context)
            shapes[f"{block}.{name}.to_v.weight"] = (width, context)
            shapes |= linear(f"{block}.{name}.to_out.0", width, width)
        shapes |= linear(f"{block}.ff.net.0.proj", width, 8 * width)
        shapes |= linear(f"{block}.ff.net.2", 4 * width, width)
        for number in (1, 2, 3):
            shapes |= norm(f"{block}.norm{number}", width)
    return shapes


def linear(key: str, inner: int, outer: int) -> Shapes:
    return {f"{key}.weight": (outer, inner), f"{key}.bias": (outer,)}


def convolution(key: str, inner: int, outer: int, size: int) -> Shapes:
    return {f"{key}.weight": (outer, inner, size, size), f"{key}.bias": (outer,)}


def pointwise(key: str, inner: int, outer: int) -> Shapes:
    return convolution(key, inner, outer, 1)


def norm(key: str, width: int) -> Shapes:
    return {f"{key}.weight": (width,), f"{key}.bias": (width,)}


def clip_shapes() -> Shapes:
    """Keys and shapes of the text encoder of SD1.5; ComfyUI accepts no smaller one."""
    width, base = 768, "cond_stage_model.transformer.text_model"
    shapes: Shapes = {
        f"{base}.embeddings.token_embedding.weight": (49408, width),
        f"{base}.embeddings.position_embedding.weight": (77, width),
    }
    for index in range(12):
        layer = f"{base}.encoder.layers.{index}"
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= linear(f"{layer}.self_attn.{name}", width, width)
        shapes |= linear(f"{layer}.mlp.fc1", width, 4 * width) | linear(f"{layer}.mlp.fc2", 4 * width, width)
        shapes |= norm(f"{layer}.layer_norm1", width) | norm(f"{layer}.layer_norm2", width)
    return shapes | norm(f"{base}.final_layer_norm", width)


def taesd_shapes() -> Shapes:
    """Keys and shapes of the tiny autoencoder, as ComfyUI names them inside a checkpoint."""
    encoder, decoder = "first_stage_model.taesd_encoder", "first_stage_model.taesd_decoder"
    shapes: Shapes = convolution(f"{encoder}.0", 3, 64, 3) | convolution(f"{encoder}.14", 64, 4, 3)
    shapes |= convolution(f"{decoder}.1", 4, 64, 3) | convolution(f"{decoder}.19", 64, 3, 3)
    blocks = [f"{encoder}.{index}" for index in (1, 3, 4, 5, 7, 8, 9, 11, 12, 13)]
    blocks += [f"{decoder}.{index}" for index in (3, 4, 5, 8, 9, 10, 13, 14, 15, 18)]
    for block in blocks:
        for index in (0, 2, 4):
            shapes |= convolution(f"{block}.conv.{index}", 64, 64, 3)
    for key in (f"{encoder}.{index}" for index in (2, 6, 10)):
        shapes[f"{key}.weight"] = (64, 64, 3, 3)
    for key in (f"{decoder}.{index}" for index in (7, 12, 17)):
        shapes[f"{key}.weight"] = (64, 64, 3, 3)
    return shapes


def random_weights(shapes: Shapes, seed: int, dtype: torch.dtype = torch.float32) -> StateDict:
    """Draw weights that keep activations near unit size; zero convolutions are small but not zero."""
    generator = torch.Generator().manual_seed(seed)
    return {key: draw(key, shape, generator).to(dtype) for key, shape in sorted(shapes.items())}


def draw(key: str, shape: Shape, generator: torch.Generator) -> torch.Tensor:
    noise = torch.randn(shape, generator=generator)
    if key.endswith(".bias"):
        return 0.02 * noise
    if len(shape) == 1:
        return 1 + 0.1 * noise
    if "embedding.weight" in key:
        return 0.02 * noise
    gain = ZERO_CONVOLUTION_GAIN if key.startswith(ZERO_CONVOLUTIONS) else 1.0
    return gain / math.sqrt(math.prod(shape[1:])) * noise


def prefixed(weights: StateDict, prefix: str) -> StateDict:
    return {prefix + key: value for key, value in weights.items()}


def controlnet(dimensions: Dimensions, seed: int = 1) -> StateDict:
    """A ControlNet whose zero convolutions let something through."""
    return random_weights(controlnet_shapes(dimensions), seed)


def unet(dimensions: Dimensions, seed: int = 0) -> StateDict:
    """A base model's UNet in half precision, which ComfyUI widens on the CPU."""
    return random_weights(unet_shapes(dimensions), seed, torch.float16)


def checkpoint(dimensions: Dimensions, seed: int = 0) -> StateDict:
    """A whole SD1.5 checkpoint: UNet, text encoder and autoencoder."""
    weights = prefixed(unet(dimensions, seed), "model.diffusion_model.")
    weights |= random_weights(clip_shapes(), seed + 1, torch.float16)
    weights |= random_weights(taesd_shapes(), seed + 2, torch.float16)
    scaling = {"vae_scale": torch.tensor(VAE_SCALE), "vae_shift": torch.tensor(0.0)}
    return weights | prefixed(scaling, "first_stage_model.")


def cached(name: str, recipe: str, dimensions: Dimensions, seed: int) -> Path:
    """Path of a generated `.safetensors` file; `recipe` names one of the functions `RECIPES`.

    Files are kept between runs under a name that changes when this source file changes.
    """
    content = f"{recipe} {dimensions} {seed}".encode() + Path(__file__).read_bytes()
    path = CACHE / f"{name}-{hashlib.sha256(content).hexdigest()[:12]}.safetensors"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        for stale in CACHE.glob(f"{name}-????????????.safetensors"):
            stale.unlink(missing_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")  # several test processes may make it at once
        save_file(RECIPES[recipe](dimensions, seed), part)
        part.rename(path)
    return path


RECIPES = {"checkpoint": checkpoint, "controlnet": controlnet, "unet": unet}


def model_files() -> Iterator[tuple[str, Path]]:
    """Every file the host tests use: its place below `models`, and where the generated file lies."""
    families = {"sd15": SD15_SMALL, "sd20": SD20_SMALL, "sdxl": SDXL_SMALL}
    for family, dimensions in families.items():
        yield f"diffusion_models/{family}.safetensors", cached(f"{family}-unet", "unet", dimensions, 10)
    for family, dimensions in (families | {"sdxl-mid": SDXL_MID_SMALL}).items():
        for number in (1, 2):
            path = cached(f"{family}-control{number}", "controlnet", dimensions, 20 + number)
            yield f"controlnet/{family}-{number}.safetensors", path
    yield "checkpoints/sd15.safetensors", cached("sd15-checkpoint", "checkpoint", SD15_SMALL, 30)
