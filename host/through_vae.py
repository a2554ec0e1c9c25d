"""Hints of networks that see latents."""

from typing import Any

import comfy.model_management
from torch import Tensor


def check_vae(name: str, family: str, vae: Any) -> None:
    """Raise ValueError when there is none. name, family: of the ControlNet."""
    if vae is None:
        raise ValueError(
            f"'{name}' ({family}) sees the hint through the VAE. Wire the model's VAE to Apply ControlNet."
        )


def through_vae(vae: Any, pixels: Tensor) -> Tensor:
    """Latents of pixels (B, C, H, W), 0..1; what the host had loaded for its step is loaded again after."""
    loaded = comfy.model_management.loaded_models(only_currently_used=True)
    latents = vae.encode(pixels.movedim(1, -1))
    comfy.model_management.load_models_gpu(loaded)
    return latents
