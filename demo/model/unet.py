"""The narrow base model: Stable Diffusion 1.5's UNet in LDM key names, 64 channels instead of 320.

The encoder and the middle are made of the ControlNet room's blocks, which are the same by definition; this file
adds the decoder. `widen` turns its weights into those of a 320-channel UNet that computes the same function.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...controlnet.networks.blocks import (
    Downsample,
    KeysValues,
    Parts,
    Pass,
    ResBlock,
    SpatialTransformer,
    Stage,
    TransformerLayer,
)
from ...controlnet.networks.layers import timestep_embedding
from ...controlnet.residuals import Residuals

CONTEXT_DIM = 768
HEADS = 8
"""ComfyUI gives Stable Diffusion 1.5 eight heads at every width."""


def plain_attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Attention by two matrix products, q (B, T, C), k and v (B, S, C) -> (B, T, C).

    With heads of 8 channels, PyTorch's fused attention takes eight times as long to go backward on a CPU.
    """
    q, k, v = (tensor.unflatten(-1, (heads, -1)).transpose(1, 2) for tensor in (q, k, v))
    weights = (q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1)).softmax(-1)
    return (weights.to(v.dtype) @ v).transpose(1, 2).flatten(2)


@dataclass(frozen=True)
class Shape:
    """Width of the first level, its multiple at every level, and which levels have a transformer."""

    channels: int = 64
    multiples: tuple[int, ...] = (1, 1, 2)
    transformers: tuple[bool, ...] = (False, True, True)

    @property
    def levels(self) -> list[tuple[int, bool]]:
        widths = (self.channels * multiple for multiple in self.multiples)
        return list(zip(widths, self.transformers, strict=True))


class Upsample(nn.Module):
    """Double the picture by repeating pixels, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, flow: Pass) -> Tensor:
        return self.conv(nn.functional.interpolate(x, scale_factor=2, mode="nearest"))


class BaseModel(nn.Module):
    """Predicts the noise in a latent, with one residual block a level."""

    def __init__(self, shape: Shape | None = None) -> None:
        super().__init__()
        self.shape = shape = shape or Shape()
        self._layers = 0
        self._parts = Parts(nn, plain_attention, CONTEXT_DIM, linear_projection=False)
        width = shape.channels
        self._time = time = 4 * width
        self.time_embed = nn.Sequential(nn.Linear(width, time), nn.SiLU(), nn.Linear(time, time))
        self.input_blocks = nn.ModuleList([nn.Sequential(nn.Conv2d(4, width, 3, padding=1))])
        skips, before = [width], width
        for level, (channels, attends) in enumerate(shape.levels):
            self.input_blocks.append(Stage(self._stage(before, channels, attends)))
            skips.append(channels)
            before = channels
            if level < len(shape.levels) - 1:
                self.input_blocks.append(Stage([Downsample(channels, nn)]))
                skips.append(channels)
        middle = [*self._stage(before, before, True), ResBlock(before, before, time, nn)]
        self.middle_block = Stage(middle)
        self.output_blocks = nn.ModuleList(self._decoder(before, skips))
        self.out = nn.Sequential(nn.GroupNorm(32, width), nn.SiLU(), nn.Conv2d(width, 4, 3, padding=1))

    def _stage(self, before: int, channels: int, attends: bool) -> list[nn.Module]:
        blocks: list[nn.Module] = [ResBlock(before, channels, self._time, nn)]
        if attends:
            blocks.append(SpatialTransformer(channels, HEADS, [self._layers], self._parts))
            self._layers += 1
        return blocks

    def _decoder(self, before: int, skips: list[int]) -> Iterator[Stage]:
        for level, (channels, attends) in reversed(list(enumerate(self.shape.levels))):
            for block in range(2):
                stage = self._stage(before + skips.pop(), channels, attends)
                before = channels
                if level and block == 1:
                    stage.append(Upsample(channels))
                yield Stage(stage)

    def project_context(self, context: Tensor) -> list[KeysValues]:
        """Keys and values of the prompt for every cross-attention: (..., 768) -> pairs of (..., channels)."""
        return [module.project(context) for module in self.modules() if isinstance(module, TransformerLayer)]

    def forward(
        self, x: Tensor, timesteps: Tensor, projected: Sequence[KeysValues], residuals: Residuals | None = None
    ) -> Tensor:
        """Noise in `x` (N, 4, h, w) at `timesteps` (N,) of 0..999; `residuals` come from a ControlNet."""
        emb = self.time_embed(timestep_embedding(timesteps, self.shape.channels))
        flow = Pass(nn.functional.silu(emb), projected, x.shape[0])
        h = self.input_blocks[0](x)
        skips = [h]
        for block in self.input_blocks[1:]:
            h = block(h, flow)
            skips.append(h)
        h = self.middle_block(h, flow)
        if residuals is not None:
            h = h + residuals.middle[0]
            skips = [skip + extra for skip, extra in zip(skips, residuals.output, strict=True)]
        for block in self.output_blocks:
            h = block(torch.cat([h, skips.pop()], 1), flow)
        return self.out(h)
