"""CtrLoRA: a ControlNet that sees the latent of its hint in the place of the noisy one, and has no hint encoder.

Xu et al. 2024 (arXiv 2410.09400), figure 2; xyfJASON/ctrlora, `cldm/cldm_ctrlora_inference.py`.
"""

from torch import Tensor, nn

from .controlnet import ControlNet
from .dimensions import Dimensions
from .layers import Attention, Ops, torch_attention


class CtrLoRANetwork(ControlNet):
    """The base ControlNet with a task's weights merged in. What its first layer makes of the hint serves every step."""

    def __init__(self, dims: Dimensions, ops: Ops = nn, attention: Attention = torch_attention) -> None:
        super().__init__(dims, ops, attention)
        del self.input_hint_block

    def embed_hint(self, hint: Tensor) -> Tensor:
        """Latents as the base model scales them, (B, in_channels, h, w) -> (B, width, h, w)."""
        return self.input_blocks[0](hint)

    def _enter(self, x: Tensor, hint: Tensor) -> Tensor:
        """The hint alone: the network does not see the noise."""
        return hint
