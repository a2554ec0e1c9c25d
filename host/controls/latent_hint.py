"""Controls whose networks see the latents of their hints."""

from typing import Any

import comfy.model_management
from torch import Tensor

from .control import ShapedControl


class LatentHintControl(ShapedControl):
    """A control with a `latent_format` takes its hints through the VAE; without one it takes them as they are."""

    family: str
    """What the network belongs to, for messages."""
    latent_step = 1
    """Latent points, along a side, to a point of the network's own."""

    def set_cond_hint(
        self,
        cond_hint: Tensor,
        strength: float = 1.0,
        timestep_percent_range: tuple[float, float] = (0.0, 1.0),
        vae: Any = None,
        extra_concat: list[Tensor] = [],  # noqa: B006  the host's signature; it is only read
    ) -> "LatentHintControl":
        """Raises ValueError for a missing VAE."""
        if self.latent_format is not None:
            if vae is None:
                raise ValueError(
                    f"'{self.name}' ({self.family}) sees the hint through the VAE. Wire the model's VAE to Apply "
                    "ControlNet."
                )
            self.compression_ratio = self.latent_step * vae.spacial_compression_encode()
        super().set_cond_hint(cond_hint, strength, timestep_percent_range, vae, extra_concat)
        return self


def through_vae(vae: Any, pixels: Tensor) -> Tensor:
    """Latents of pixels (B, C, H, W), 0..1; what the host had loaded for its step is loaded again after."""
    loaded = comfy.model_management.loaded_models(only_currently_used=True)
    latents = vae.encode(pixels.movedim(1, -1))
    comfy.model_management.load_models_gpu(loaded)
    return latents
