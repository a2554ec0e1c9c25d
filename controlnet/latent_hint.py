"""The ControlNet of CtrLoRA: it sees the latent of the hint in the place of the noisy latent, and has no hint encoder.

Xu et al. 2024 (arXiv 2410.09400), figure 2; xyfJASON/ctrlora, `cldm/cldm_ctrlora_inference.py`.
"""

from torch import Tensor

from .network import ControlNet


class LatentHintControlNet(ControlNet):
    """The step is told by the timestep alone; what the first convolution makes of the hint serves every step."""

    def embed_hint(self, hint: Tensor) -> Tensor:
        """Latents as the base model scales them, (B, in_channels, h, w) -> (B, width, h, w)."""
        return self.input_blocks[0](hint)

    def _enter(self, x: Tensor, hint: Tensor) -> Tensor:
        return hint
