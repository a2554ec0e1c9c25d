"""Our ControlNet of the CtrLoRA kind as a control of the host: its hint goes through the VAE."""

from typing import Any

import comfy.latent_formats
from torch import Tensor

from ..controlnet.network import ControlNet
from .control import ZeroConvControl
from .loaded import LoadedNetwork
from .through_vae import check_vae, through_vae


class LatentHintControl(ZeroConvControl):
    """One network that sees the latents of its hints."""

    acts_at_once = True
    """The VAE may have to make room for itself, which is no time for in the middle of the base model's run."""
    hint_scale = 1

    def __init__(self, loaded: LoadedNetwork[ControlNet]) -> None:
        super().__init__(loaded)
        formats = comfy.latent_formats
        self.latent_format = formats.SDXL() if loaded.network.dims.adm_channels else formats.SD15()

    def set_cond_hint(
        self,
        cond_hint: Tensor,
        strength: float = 1.0,
        timestep_percent_range: tuple[float, float] = (0.0, 1.0),
        vae: Any = None,
        extra_concat: list[Tensor] = [],  # noqa: B006  the host's signature; it is only read
    ) -> "LatentHintControl":
        """Raises ValueError for a missing VAE."""
        check_vae(self.name, "CtrLoRA", vae)
        super().set_cond_hint(cond_hint, strength, timestep_percent_range, vae, extra_concat)
        return self

    def _see(self, pixels: Tensor) -> Tensor:
        """Latents (B, 4, h, w). The reference gives 0..1 to an encoder that takes -1..1; the host doubles the range."""
        latents = through_vae(self.vae, (self.preprocess_image(pixels) + 1) / 2)
        return self.latent_format.process_in(latents)
