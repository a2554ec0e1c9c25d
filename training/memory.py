"""Memory that a training needs on its device, and the options to change when it does not fit.

Held beside measurements of whole steps at the real sizes (`tests/device/test_training.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ..controlnet.networks.controlnet import ControlNet
from ..controlnet.networks.dimensions import Block, Dimensions
from .settings import Settings

RESERVE = 0.6e9
"""Bytes for kernels, their workspaces and fragmentation."""
RESIDUAL_FLOATS = (3, 4)
"""Values that a residual block keeps for its gradient, per pixel: so often its input channels, and its output channels
(inputs and outputs of each norm and SiLU, the input of each convolution)."""
LAYER_FLOATS = 29
"""The same for a transformer layer, per pixel and channel: 16 for the gated feed-forward, 13 for norms, projections and
attention, whose fused form keeps no matrix."""
MIXED_BYTES = 2.6
"""Size of a number that is kept under autocast: norms give float32, and convolutions keep 16 bits beside it."""
FROZEN_SHARE = 0.89
"""The share of that which the frozen decoder keeps: the inputs of its layers are needed for no weight's gradient."""
BASE_BYTES = 2
"""Size of a number in the base model, which computes in 16 bits on a GPU."""


@dataclass(frozen=True)
class Need:
    """Bytes on the device.

    weights: of the ControlNet in float32, and averaged weights. optimizer: its moments. base: the frozen UNet. step:
    gradients, activations and copies in half precision at the worst moment of a step. reserve: the rest.
    """

    weights: float
    optimizer: float
    base: float
    step: float
    reserve: float = RESERVE

    @property
    def total(self) -> float:
        return self.weights + self.optimizer + self.base + self.step + self.reserve

    def __str__(self) -> str:
        return (
            f"{self.total / 1e9:.1f} GB (weights {self.weights / 1e9:.1f}, optimizer {self.optimizer / 1e9:.1f}, base "
            f"model {self.base / 1e9:.1f}, gradients and activations {self.step / 1e9:.1f}, reserve "
            f"{self.reserve / 1e9:.1f})"
        )


@dataclass(frozen=True)
class _Part:
    """A part of a pass, in bytes. entering: what goes into it. inside: all that it keeps for its gradient. gradients:
    of its weights. copies: of its weights in half precision. checkpointed: whether `inside` is computed again."""

    entering: float
    inside: float
    gradients: float = 0.0
    copies: float = 0.0
    checkpointed: bool = False

    @property
    def kept(self) -> float:
        """From its forward pass to its gradient."""
        return self.entering if self.checkpointed else self.inside + self.copies


def estimate(dims: Dimensions, settings: Settings, height: int, width: int, base_bytes: float, shards: int = 1) -> Need:
    """Compute the need for pictures of height x width pixels.

    base_bytes: of the frozen UNet on the device. shards: processes that share weights, gradients and optimizer (FSDP);
    during a pass each still holds all weights, and all gradients before they are exchanged.
    """
    with torch.device("meta"):
        control = ControlNet(dims)
    parameters = _count(control)
    weights = parameters * (4 + (4 if settings.ema_decay else 0)) / shards + (4 * parameters if shards > 1 else 0)
    optimizer = parameters * (8 if settings.optimizer == "adamw" else 2) / shards
    if settings.optimizer.startswith("paged"):
        optimizer = 0
    pixels = settings.batch * height * width // 64
    whole_gradients = 4 * parameters
    in_pass = _worst_moment(_parts(dims, control, settings, pixels))
    if settings.gradient_accumulation_steps > 1 or shards > 1:  # those of the passes before are there all the time
        in_pass = whole_gradients + _worst_moment(_parts(dims, control, settings, pixels), gradients=False)
    return Need(weights, optimizer, base_bytes, max(in_pass, whole_gradients))


def _parts(dims: Dimensions, control: ControlNet, settings: Settings, pixels: int) -> list[_Part]:
    """The parts of a pass in the order of the forward: hint encoder, encoder and middle, the base model's decoder."""
    half = settings.dtype != torch.float32
    number, checkpointing = (MIXED_BYTES if half else 4.0), settings.gradient_checkpointing

    def trained(entering: float, inside: float, modules: Sequence[nn.Module], checkpointed: bool) -> _Part:
        count = sum(map(_count, modules))
        plain = 2.0 if half else 4.0
        return _Part(entering * plain, inside * number, 4 * count, 2 * count if half else 0, checkpointed)

    first = [control.input_hint_block, control.time_embed, *([control.label_emb] if dims.adm_channels else [])]
    parts = [trained(0, _hint_floats(dims, pixels), first, False)]
    blocks = [*control.input_blocks[1:], control.middle_block]
    ends = [*control.zero_convs[1:], control.middle_block_out]
    for (entering, inside), block, end in zip(_encoder(dims, pixels), blocks, ends, strict=True):
        parts.append(trained(entering, inside, [block, end], checkpointing))
    for entering, inside in _decoder(dims, pixels):
        kept = FROZEN_SHARE * inside
        parts.append(_Part(entering * BASE_BYTES, kept * BASE_BYTES, checkpointed=checkpointing))
    return parts


def _worst_moment(parts: Sequence[_Part], gradients: bool = True) -> float:
    """The most bytes at a time: all parts are kept until the gradient goes back through them, from the last to the
    first, and each then leaves the gradients of its weights. gradients: whether these count."""
    worst = sum(part.kept for part in parts) + sum(part.copies for part in parts if part.checkpointed)
    kept, done = sum(part.kept for part in parts), 0.0
    for part in reversed(parts):
        again = part.inside + part.copies if part.checkpointed else 0
        worst = max(worst, kept + again + done + part.gradients * gradients)
        kept, done = kept - part.kept, done + part.gradients * gradients
    return worst


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


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
