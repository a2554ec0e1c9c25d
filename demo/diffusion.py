"""Stable Diffusion 1.5's noise schedule, the training loss on it, and a small sampler."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor

STEPS = 1000


@lru_cache(maxsize=1)
def signal_shares() -> Tensor:
    """Cumulative product of the alphas (1000,): betas are squares of an even walk (Rombach et al. 2022)."""
    roots = torch.linspace(0.00085**0.5, 0.012**0.5, STEPS, dtype=torch.float64)
    return (1 - roots**2).cumprod(0).float()


def add_noise(latent: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """`latent` (N, 4, h, w) with `noise` at `timesteps` (N,)."""
    share = signal_shares()[timesteps].view(-1, 1, 1, 1)
    return share.sqrt() * latent + (1 - share).sqrt() * noise


def noise_loss(prediction: Tensor, noise: Tensor, timesteps: Tensor, limit: float = 10.0) -> Tensor:
    """Squared error of the predicted noise, each sample weighted by min(1 / signal share, `limit`).

    1 / signal share is the weight that makes it the error of the velocity (Salimans and Ho 2022): without it the
    noisy steps, where layout and colour are decided, hardly count.
    """
    weight = (1 / signal_shares()[timesteps]).clamp_max(limit)
    error = (prediction.float() - noise).square().mean((1, 2, 3))
    return (weight * error).mean()


Predictor = Callable[[Tensor, Tensor], Tensor]
"""(noisy latent (N, 4, h, w), timesteps (N,)) -> the noise in it."""


@torch.no_grad()
def sample(predict: Predictor, noise: Tensor, steps: int = 20) -> Tensor:
    """Deterministic DDIM (Song et al. 2021) from unit `noise` (N, 4, h, w) to latents."""
    times = torch.linspace(STEPS - 1, 0, steps + 1).round().long()
    x = noise
    for now, after in pairwise(times):
        share, next_share = signal_shares()[now], signal_shares()[after]
        estimate = predict(x, now.expand(x.shape[0])).float()
        clean = (x - (1 - share).sqrt() * estimate) / share.sqrt()
        x = next_share.sqrt() * clean + (1 - next_share).sqrt() * estimate
    share = signal_shares()[0]
    return (x - (1 - share).sqrt() * predict(x, times[-1:].expand(x.shape[0])).float()) / share.sqrt()


def guided(
    predict: Callable[[Tensor, Tensor, Tensor], Tensor], captions: Tensor, empty: Tensor, scale: float
) -> Predictor:
    """Classifier-free guidance: `predict` also takes caption numbers; `empty` is that of the empty caption."""

    def both(x: Tensor, timesteps: Tensor) -> Tensor:
        numbers = torch.cat([captions, empty.expand_as(captions)])
        with_caption, without = predict(x.repeat(2, 1, 1, 1), timesteps.repeat(2), numbers).float().chunk(2)
        return without + scale * (with_caption - without)

    return both
