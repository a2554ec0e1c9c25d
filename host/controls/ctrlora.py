"""CtrLoRA: a ControlNet of SD1.5 or SDXL that sees the latent of its hint, and no noise."""

import comfy.latent_formats
from torch import Tensor

from ...controlnet.networks.controlnet import ControlNet
from .controlnet import ControlNetRunner
from .loaded_network import LoadedNetwork
from .runner import HintView


class CtrLoRARunner(ControlNetRunner):
    """One CtrLoRA with its base."""

    hint_scale = 1
    stride = 1

    def __init__(self, loaded: LoadedNetwork[ControlNet]) -> None:
        super().__init__(loaded, "CtrLoRA")
        formats = comfy.latent_formats
        self.latent_format = formats.SDXL() if loaded.network.dims.adm_channels else formats.SD15()

    def network_input(self, view: HintView, pixels: Tensor) -> Tensor:
        """Latents as the base model scales them, (B, 4, h, w).

        The reference gives 0..1 to an encoder that takes -1..1; the host's VAE doubles the range.
        """
        return self.latent_format.process_in(view.vae_encode((pixels + 1) / 2))
