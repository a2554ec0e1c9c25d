"""The ControlNet: a trainable copy of Stable Diffusion's encoder and middle, tied on by zero convolutions.

Zhang, Rao, Agrawala 2023 (arXiv 2302.05543), section 3.2 and figure 3. Module names follow lllyasviel's `cldm.py`,
so that official files load unchanged.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..residuals import Residuals
from .blocks import Downsample, KeysValues, Parts, Pass, ResBlock, SpatialTransformer, Stage, TransformerLayer
from .dimensions import HINT_STRIDES, Block, Dimensions
from .layers import Attention, Ops, match_rows, repeat_rows, timestep_embedding, torch_attention


@dataclass(frozen=True)
class Inputs:
    """Inputs of the base model at one step; rows are [group 0, group 1, ...] with the same pictures in each.

    x: (rows, in_channels, h, w), scaled as the UNet expects it. timesteps: (rows,), 0..999. y: (rows, adm_channels)
    for SDXL. `shared`: x and timesteps are equal in every one of `groups` groups; `shared_y`: so is y.
    `uniform_time`: all timesteps are equal. union_types: kinds of hint in use, for a union network.
    """

    x: Tensor
    timesteps: Tensor
    y: Tensor | None = None
    groups: int = 1
    shared: bool = False
    shared_y: bool = False
    uniform_time: bool = False
    union_types: tuple[int, ...] = ()


class ControlNet(nn.Module):
    """ControlNet of the SD1.5, SD2.x and SDXL families."""

    def __init__(self, dims: Dimensions, ops: Ops = nn, attention: Attention = torch_attention) -> None:
        super().__init__()
        self.dims = dims
        self.gradient_checkpointing = False
        self._layers = 0
        parts = Parts(ops, attention, dims.context_dim, dims.linear_projection)
        width, time = dims.model_channels, dims.time_channels
        self.time_embed = nn.Sequential(ops.Linear(width, time), nn.SiLU(), ops.Linear(time, time))
        if dims.adm_channels is not None:
            label = nn.Sequential(ops.Linear(dims.adm_channels, time), nn.SiLU(), ops.Linear(time, time))
            self.label_emb = nn.Sequential(label)
        self.input_hint_block = _hint_encoder(dims, ops)
        self.input_blocks = nn.ModuleList([nn.Sequential(ops.Conv2d(dims.in_channels, width, 3, padding=1))])
        before = width
        for block in dims.blocks:
            self.input_blocks.append(Stage(self._encoder_stage(before, block, parts)))
            before = block.channels
        self.middle_block = Stage(self._middle_stage(before, dims.middle, parts))
        *skips, middle = dims.residual_channels
        self.zero_convs = nn.ModuleList(nn.Sequential(ops.Conv2d(c, c, 1)) for c in skips)
        self.middle_block_out = nn.Sequential(ops.Conv2d(middle, middle, 1))

    def _encoder_stage(self, before: int, block: Block, parts: Parts) -> Iterator[nn.Module]:
        if block.downsample:
            yield Downsample(block.channels, parts.ops)
            return
        yield ResBlock(before, block.channels, self.dims.time_channels, parts.ops)
        yield from self._transformer(block, parts)

    def _middle_stage(self, before: int, block: Block, parts: Parts) -> Iterator[nn.Module]:
        yield ResBlock(before, block.channels, self.dims.time_channels, parts.ops)
        yield from self._transformer(block, parts)
        yield ResBlock(block.channels, block.channels, self.dims.time_channels, parts.ops)

    def _transformer(self, block: Block, parts: Parts) -> Iterator[nn.Module]:
        if block.depth is None:
            return
        layers = range(self._layers, self._layers + block.depth)
        self._layers += block.depth
        yield SpatialTransformer(block.channels, self.dims.heads(block.channels), layers, parts)

    def embed_hint(self, hint: Tensor) -> Tensor:
        """Bring the hint to the size and width of the latent: (B, hint_channels, 8h, 8w) -> (B, width, h, w)."""
        return self.input_hint_block(hint)

    def project_context(self, context: Tensor) -> list[KeysValues]:
        """Keys and values of the prompt for every cross-attention, in the order of the layers.

        context: (rows, tokens, context_dim). They depend on the prompt alone: project once, use at every step.
        """
        return [m.project(context) for m in self.modules() if isinstance(m, TransformerLayer)]

    def forward(
        self, inputs: Inputs, hint: Tensor, projected: Sequence[KeysValues], needed: int | None = None
    ) -> Residuals:
        """Evaluate the network.

        hint: from `embed_hint`, (1 or pictures or rows, width, h, w). projected: from `project_context`. needed: stop
        after so many residuals, counted from the first skip; None: all.
        Returns residuals with all rows, in the dtype of x.
        """
        rows = inputs.x.shape[0]
        x = inputs.x[: rows // inputs.groups] if inputs.shared else inputs.x
        emb = nn.functional.silu(self._embed_time(inputs))
        flow = Pass(emb, projected, rows, frames=rows // inputs.groups)
        h = self._enter(x, hint)
        outputs = [repeat_rows(self.zero_convs[0](h), rows)]
        blocks = list(zip(self.input_blocks[1:], self.zero_convs[1:], strict=True))
        blocks.append((self.middle_block, self.middle_block_out))
        for block, zero_conv in blocks[: None if needed is None else needed - 1]:
            h = self._run(block, h, flow)
            outputs.append(repeat_rows(zero_conv(h), rows))
        skips = len(self.zero_convs)
        return Residuals(tuple(outputs[:skips]), tuple(outputs[skips:]))

    def _enter(self, x: Tensor, hint: Tensor) -> Tensor:
        """The sum of the noisy latent and the hint, both at the network's width, with which the encoder begins."""
        h = self.input_blocks[0](x)
        return h + match_rows(hint, h.shape[0])

    def memory_floats(self, rows: int, height: int, width: int) -> int:
        """Numbers alive at once at the worst moment of a forward, for a latent of height x width.

        All residuals, and the larger of: the feed-forward of the first transformer (14 times the width: input,
        residual, both halves of the gated projection, their product), the first hint convolutions (2 x 16 channels
        at 64 pixels for a latent point).
        """
        pixels = rows * height * width
        residuals = scale = 0
        for block in (Block(self.dims.model_channels), *self.dims.blocks, self.dims.middle):
            scale += block.downsample
            residuals += block.channels * pixels // 4**scale
        return residuals + pixels * max(14 * self.dims.model_channels, 2 * 16 * 64)

    def _run(self, block: nn.Module, h: Tensor, flow: Pass) -> Tensor:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            h = checkpoint(block, h, flow, use_reentrant=False)  # pyright: ignore[reportAssignmentType]
            return h
        return block(h, flow)

    def _embed_time(self, inputs: Inputs) -> Tensor:
        """(1, E), (pictures, E) or (rows, E), as few as differ."""
        group = inputs.x.shape[0] // inputs.groups
        count = 1 if inputs.uniform_time else group if inputs.shared else inputs.x.shape[0]
        sinusoids = timestep_embedding(inputs.timesteps[:count], self.dims.model_channels)
        emb = self.time_embed(sinusoids.to(inputs.x.dtype))
        if self.dims.adm_channels is None:
            return emb
        if inputs.y is None:
            raise ValueError(
                "This ControlNet is for SDXL, but the MODEL gives no size conditioning (y). Load an SDXL model."
            )
        y = inputs.y[:group] if inputs.shared and inputs.shared_y else inputs.y
        label = self.label_emb(y.to(inputs.x.dtype))
        return match_rows(emb, label.shape[0]) + label


def _hint_encoder(dims: Dimensions, ops: Ops) -> nn.Sequential:
    widths = (dims.hint_channels, *dims.hint_widths, dims.model_channels)
    layers: list[nn.Module] = []
    for before, after, stride in zip(widths, widths[1:], HINT_STRIDES, strict=False):
        layers += [ops.Conv2d(before, after, 3, padding=1, stride=stride), nn.SiLU()]
    return nn.Sequential(*layers[:-1])
