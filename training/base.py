"""The interface that training needs from a base model; ComfyUI's models and the embedded one each implement it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from ..controlnet.residuals import Residuals

Phase = Literal["encode", "train", "sample"]
"""What comes next, so that a base model can keep on the device only what it needs: the autoencoder and the text
encoder; the UNet; the UNet and the autoencoder."""


class Interrupted(Exception):
    """The user asked to stop. The loop saves the steps that are finished."""


@dataclass(frozen=True)
class NoiseSchedule:
    """The base model's noise schedule and what its UNet predicts.

    alphas_cumprod: (T,) float32, the cumulative product of the alphas (Ho et al. 2020). prediction: the noise, or the
    velocity (Salimans and Ho 2022).
    """

    alphas_cumprod: Tensor
    prediction: Literal["eps", "v"] = "eps"

    def levels(self, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """Factors of picture and noise at `timesteps` (B,), each (B, 1, 1, 1)."""
        share = self.alphas_cumprod.to(timesteps.device)[timesteps].view(-1, 1, 1, 1)
        return share.sqrt(), (1 - share).sqrt()

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """The noisy latents at `timesteps` (B,): (B, C, h, w)."""
        signal, spread = self.levels(timesteps)
        return signal * latents + spread * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """The target of the UNet's prediction: (B, C, h, w)."""
        if self.prediction == "eps":
            return noise
        signal, spread = self.levels(timesteps)
        return signal * noise - spread * latents

    def estimate(self, x: Tensor, prediction: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """The clean latents and the noise that a prediction at x implies."""
        signal, spread = self.levels(timesteps)
        if self.prediction == "eps":
            return (x - spread * prediction) / signal, prediction
        return signal * x - spread * prediction, spread * x + signal * prediction


@dataclass(frozen=True)
class Prompt:
    """Encoded prompts.

    context: (B, tokens, context_dim). vector: (B, adm_channels), pooled prompt and sizes, for SDXL; else None.
    """

    context: Tensor
    vector: Tensor | None = None

    def to(self, device: torch.device) -> "Prompt":
        return Prompt(self.context.to(device), None if self.vector is None else self.vector.to(device))

    def rows(self, count: int) -> "Prompt":
        """One prompt repeated for `count` pictures."""
        vector = None if self.vector is None else self.vector.expand(count, -1)
        return Prompt(self.context.expand(count, -1, -1), vector)

    def replace(self, where: Tensor, other: "Prompt") -> "Prompt":
        """These prompts, with those of `other` in the rows that `where` (B,) bool marks."""
        ours, theirs = equal_lengths([self.context, other.context])
        context = torch.where(where[:, None, None], theirs, ours)
        if self.vector is None or other.vector is None:
            return Prompt(context)
        return Prompt(context, torch.where(where[:, None], other.vector, self.vector))


def equal_lengths(contexts: Sequence[Tensor]) -> list[Tensor]:
    """Repeat the tokens of each (B, tokens, C) to a common length.

    Attention to repeated keys and values gives the same result, so nothing changes (ComfyUI does the same).
    """
    length = math.lcm(*(context.shape[1] for context in contexts))
    return [context.repeat(1, length // context.shape[1], 1) for context in contexts]


def join_prompts(prompts: Sequence[Prompt]) -> Prompt:
    """One batch of several."""
    vectors = [prompt.vector for prompt in prompts if prompt.vector is not None]
    context = torch.cat(equal_lengths([prompt.context for prompt in prompts]))
    return Prompt(context, torch.cat(vectors) if vectors else None)


class BaseModel(Protocol):
    """A frozen latent diffusion model. Its weights never require gradients and never change.

    `device`: where tensors come from and go to. `family`: "SD1.5", "SD2.x" or "SDXL". `fingerprint`: changes with the
    weights of the autoencoder, the text encoder or the UNet.
    """

    device: torch.device
    family: str
    fingerprint: str
    schedule: NoiseSchedule

    def unet_weights(self) -> Mapping[str, Tensor]:
        """The UNet's state dict in LDM keys without prefix; the decoder's may be left out."""
        ...

    def prepare(self, phase: Phase) -> None:
        """Move what the phase needs to the device, and the rest off it."""
        ...

    def predict(self, x: Tensor, timesteps: Tensor, prompt: Prompt, residuals: Residuals | None) -> Tensor:
        """The UNet's output for noisy latents x (B, C, h, w) at timesteps (B,): same shape, float32.

        Differentiable in the residuals, which may come in a lower precision. It and its gradient may raise Interrupted.
        """
        ...

    def encode_images(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W), 0..1, to latents (B, C, H / 8, W / 8) at the scale on which the UNet diffuses."""
        ...

    def decode_latents(self, latents: Tensor) -> Tensor:
        """The inverse of `encode_images`: (B, 3, H, W), 0..1."""
        ...

    def encode_prompts(self, prompts: Sequence[str], height: int, width: int) -> Prompt:
        """Encode prompts for pictures of height x width pixels."""
        ...
