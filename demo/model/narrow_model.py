"""The narrow model as a whole, as the training room sees a base model: text, autoencoder, UNet, schedule."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ...controlnet.residuals import Residuals
from ...training.base import NoiseSchedule, Phase, Prompt
from .autoencoder import build_decoder, encode
from .text import encode_captions
from .unet import BaseModel

TIMESTEPS = 1000


@lru_cache(maxsize=1)
def noise_schedule() -> NoiseSchedule:
    """Stable Diffusion 1.5's: betas are the squares of even steps (Rombach et al. 2022)."""
    roots = torch.linspace(0.00085**0.5, 0.012**0.5, TIMESTEPS, dtype=torch.float64)
    return NoiseSchedule((1 - roots**2).cumprod(0).float())


class DemoModel:
    """Implements `training.base.BaseModel` on the CPU. Pictures are best at 128 x 128."""

    device = torch.device("cpu")
    family = "SD1.5"

    def __init__(self, unet: BaseModel, decoder: nn.Module) -> None:
        self.unet = unet.eval().requires_grad_(False)
        self.decoder = decoder.eval().requires_grad_(False)
        self.schedule = noise_schedule()
        digest = hashlib.sha256()
        for value in self.unet.state_dict().values():
            digest.update(value.contiguous().numpy().tobytes())
        self.fingerprint = digest.hexdigest()

    def unet_weights(self) -> Mapping[str, Tensor]:
        return self.unet.state_dict()

    def prepare(self, phase: Phase) -> None:
        """Nothing to do: all of it fits in memory at once."""

    def predict(self, x: Tensor, timesteps: Tensor, prompt: Prompt, residuals: Residuals | None) -> Tensor:
        return self.unet(x, timesteps, self.unet.project_context(prompt.context), residuals).float()

    def encode_images(self, images: Tensor) -> Tensor:
        return encode(images)

    def decode_latents(self, latents: Tensor) -> Tensor:
        with torch.no_grad():
            return self.decoder(latents).clamp(0, 1)

    def encode_prompts(self, prompts: Sequence[str], height: int, width: int) -> Prompt:
        return Prompt(encode_captions(prompts))


def load_model(base: Path, decoder: Path) -> DemoModel:
    """The model with the weights of two narrow `.safetensors` files."""
    unet, pictures = BaseModel(), build_decoder()
    unet.load_state_dict({key: value.float() for key, value in load_file(base).items()})
    pictures.load_state_dict({key: value.float() for key, value in load_file(decoder).items()})
    return DemoModel(unet, pictures)
