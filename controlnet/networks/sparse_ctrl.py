"""SparseCtrl: hints for some frames of a video, which layers along the time carry to the others.

Guo et al. 2023 (arXiv 2311.16933), section 3.2; guoyww/AnimateDiff `sparse_controlnet.py`.
"""

from collections.abc import Iterator

from torch import Tensor, nn

from .blocks import Parts
from .controlnet import ControlNet
from .dimensions import Block
from .temporal import TemporalModule


class SparseControlNet(ControlNet):
    """A ControlNet with layers along the time. The items of a group are the frames of one video, in order."""

    def _encoder_stage(self, before: int, block: Block, parts: Parts) -> Iterator[nn.Module]:
        yield from super()._encoder_stage(before, block, parts)
        if not block.downsample:
            yield TemporalModule(block.channels, self.dims.frames, parts)

    def embed_hint(self, hint: Tensor) -> Tensor:
        """Hints with a last channel of ones, or all zeros for a frame without, -> (B, width, h, w).

        hint: (B, hint_channels, 8h, 8w), or of latents (B, hint_channels, h, w). The noisy latent counts as zeros.
        """
        embedded = self.input_hint_block(hint)
        height, width = embedded.shape[-2:]
        return embedded + self.input_blocks[0](hint.new_zeros(1, self.dims.in_channels, height, width))

    def _enter(self, x: Tensor, hint: Tensor) -> Tensor:
        """The hint alone: the network does not see the noise."""
        return hint
