"""Memory that a training needs on its device, and the options to change when it does not fit."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from ..controlnet.networks.controlnet import ControlNet
from ..controlnet.networks.dimensions import Block, Dimensions
from .settings import Settings

RESERVE = 0.6e9
"""Bytes for kernels, their workspaces and fragmentation."""
RESIDUAL_FLOATS = (3, 4)
"""What a residual block keeps for its gradient, per pixel: so often its input channels, and its output channels
(inputs and outputs of each norm and SiLU, the input of each convolution)."""
LAYER_FLOATS = 29
"""The same for a transformer layer, per pixel and channel: 16 for the gated feed-forward, 13 for norms, projections and
attention, whose fused form keeps no matrix."""


@dataclass(frozen=True)
class Need:
    """Bytes on the device.

    weights: of the ControlNet in float32, their gradients, averaged weights and copies in half precision.
    optimizer: its moments. base: the frozen UNet. activations: what is kept for the gradient. reserve: the rest.
    """

    weights: float
    optimizer: float
    base: float
    activations: float
    reserve: float = RESERVE

    @property
    def total(self) -> float:
        return self.weights + self.optimizer + self.base + self.activations + self.reserve

    def __str__(self) -> str:
        return (
            f"{self.total / 1e9:.1f} GB (weights and gradients {self.weights / 1e9:.1f}, optimizer "
            f"{self.optimizer / 1e9:.1f}, base model {self.base / 1e9:.1f}, activations {self.activations / 1e9:.1f}, "
            f"reserve {self.reserve / 1e9:.1f})"
        )


def estimate(dims: Dimensions, settings: Settings, height: int, width: int, base_bytes: float, shards: int = 1) -> Need:
    """Compute the need for pictures of height x width pixels.

    base_bytes: of the frozen UNet on the device. shards: processes that share weights, gradients and optimizer (FSDP);
    during a pass each still holds all weights, and all gradients before they are exchanged.
    """
    parameters = _parameters(dims)
    half = settings.dtype != torch.float32
    whole = 8 + (4 if settings.ema_decay else 0)
    weights = parameters * (whole / shards + (2 if half else 0) + (8 if shards > 1 else 0))
    optimizer = parameters * (8 if settings.optimizer == "adamw" else 2) / shards
    if settings.optimizer.startswith("paged"):
        optimizer = 0
    pixels = settings.batch * height * width // 64
    number_bytes = 2 if half else 4
    activations = _activations(dims, pixels, settings.gradient_checkpointing) * number_bytes
    return Need(weights, optimizer, base_bytes, activations)


def advise(dims: Dimensions, settings: Settings, height: int, width: int) -> list[str]:
    """Options that would save memory and are not yet in use, the cheapest first."""
    options = []
    if settings.dtype == torch.float32:
        options.append("precision bfloat16 (float16 on older GPUs)")
    if not settings.gradient_checkpointing:
        options.append("gradient_checkpointing")
    if settings.batch > 1:
        options.append(
            f"batch 1 with gradient_accumulation_steps {settings.batch * settings.gradient_accumulation_steps}"
        )
    if settings.optimizer == "adamw":
        options.append("optimizer adamw8bit")
    if settings.ema_decay:
        options.append("ema_decay 0")
    if max(height, width) > 512 and dims.context_dim != 2048:
        options.append("a lower resolution")
    return options


def check_fits(
    dims: Dimensions, settings: Settings, size: tuple[int, int], base_bytes: float, free: float, shards: int = 1
) -> Need:
    """Raise ValueError with advice when the need exceeds the `free` bytes; size: (height, width) in pixels.

    shards: as in `estimate`.
    """
    need = estimate(dims, settings, *size, base_bytes, shards)
    if need.total <= free:
        return need
    options = advise(dims, settings, *size)
    advice = f"Turn on, in this order: {', '.join(options)}." if options else "Use a smaller base model."
    raise ValueError(f"This training needs {need}, but only {free / 1e9:.1f} GB are free. {advice}")


def _parameters(dims: Dimensions) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in ControlNet(dims).parameters())


def _activations(dims: Dimensions, pixels: int, checkpointing: bool) -> float:
    """Numbers kept for the gradient by the ControlNet and by the base model's decoder, which it passes through.

    With checkpointing: the input of every block, and all of the one block that is being computed again.
    """
    blocks = [*_encoder(dims, pixels), *_decoder(dims, pixels)]
    hint = _hint_floats(dims, pixels)
    if checkpointing:
        return hint + sum(entering for entering, _ in blocks) + max(inside for _, inside in blocks)
    return hint + sum(inside for _, inside in blocks)


def _encoder(dims: Dimensions, pixels: int) -> Iterator[tuple[float, float]]:
    """Numbers that enter every block of the ControlNet, and that it keeps inside."""
    before = dims.model_channels
    for block in dims.blocks:
        if block.downsample:
            yield before * pixels, before * pixels
            pixels //= 4
        else:
            yield before * pixels, _stage(before, block, pixels)
        before = block.channels
    middle = dims.middle
    yield before * pixels, _stage(before, middle, pixels) + _stage(before, Block(middle.channels), pixels)


def _decoder(dims: Dimensions, pixels: int) -> Iterator[tuple[float, float]]:
    """The same for the decoder: at each resolution it has one block for every skip connection."""
    levels: list[tuple[Block, int, list[int]]] = []
    skips, at = [dims.model_channels], pixels
    inner = Block(dims.model_channels)
    for block in dims.blocks:
        if block.downsample:
            levels.append((inner, at, skips))
            skips, at = [block.channels], at // 4
        else:
            inner = block
            skips.append(block.channels)
    levels.append((inner, at, skips))
    before = dims.middle.channels
    for block, count, level in reversed(levels):
        for skip in reversed(level):
            yield (before + skip) * count, _stage(before + skip, block, count)
            before = block.channels


def _stage(before: int, block: Block, pixels: int) -> float:
    floats = (RESIDUAL_FLOATS[0] * before + RESIDUAL_FLOATS[1] * block.channels) * pixels
    return floats + (block.depth or 0) * LAYER_FLOATS * block.channels * pixels


def _hint_floats(dims: Dimensions, pixels: int) -> float:
    """The hint encoder keeps the input and the output of each SiLU, at up to 64 pixels for one of the latent."""
    areas = (64, 64, 16, 16, 4, 4, 1)
    return 2 * pixels * sum(width * area for width, area in zip(dims.hint_widths, areas, strict=False))
