"""ControlNets that see their hint and the timestep, and not the noisy latent."""

from collections.abc import Iterator

from torch import Tensor, nn

from .blocks import Parts
from .controlnet import ControlNet
from .dimensions import Block, Dimensions
from .layers import Attention, Ops, torch_attention
from .temporal import Motion


class HintOnlyControlNet(ControlNet):
    """What the first layers make of the hint serves every step."""

    def _enter(self, x: Tensor, hint: Tensor) -> Tensor:
        return hint


class CtrLoRANetwork(HintOnlyControlNet):
    """It sees the latent of the hint in the place of the noisy one, and has no hint encoder.

    Xu et al. 2024 (arXiv 2410.09400), figure 2; xyfJASON/ctrlora, `cldm/cldm_ctrlora_inference.py`.
    """

    def __init__(self, dims: Dimensions, ops: Ops = nn, attention: Attention = torch_attention) -> None:
        super().__init__(dims, ops, attention)
        del self.input_hint_block

    def embed_hint(self, hint: Tensor) -> Tensor:
        """Latents as the base model scales them, (B, in_channels, h, w) -> (B, width, h, w)."""
        return self.input_blocks[0](hint)


class SparseControlNet(HintOnlyControlNet):
    """SparseCtrl: hints for some frames of a video, which layers along the time carry to the others.

    Guo et al. 2023 (arXiv 2311.16933), section 3.2; guoyww/AnimateDiff `sparse_controlnet.py`. Pictures of a group are
    the frames of one video, in order.
    """

    def _encoder_stage(self, before: int, block: Block, parts: Parts) -> Iterator[nn.Module]:
        yield from super()._encoder_stage(before, block, parts)
        if not block.downsample:
            yield Motion(block.channels, self.dims.frames, parts)

    def embed_hint(self, hint: Tensor) -> Tensor:
        """Hints with a last channel of ones, or all zeros for a frame without, -> (B, width, h, w).

        hint: (B, hint_channels, 8h, 8w), or of latents (B, hint_channels, h, w). The noisy latent counts as zeros.
        """
        embedded = self.input_hint_block(hint)
        height, width = embedded.shape[-2:]
        return embedded + self.input_blocks[0](hint.new_zeros(1, self.dims.in_channels, height, width))
