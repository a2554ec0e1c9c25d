"""The loss: the base model's own denoising objective, with the hint as one more condition (paper, equation 3)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from .base import NoiseSchedule

_MIX = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Objective:
    """The training objective.

    prompt_dropout: fraction of the pairs whose prompt is left empty (paper: 0.5), so that the hint counts.
    hint_dropout: fraction whose hint is black. noise_offset: 0 or about 0.05, lets brightness vary.
    weighting: "uniform" as in the paper; "min_snr" (Hang et al. 2023) with `snr_gamma` as its gamma, 5 as a rule;
    "velocity": the error counts as that of the velocity, at most `snr_gamma` times, which favours the noisy steps where
    layout is decided.
    """

    prompt_dropout: float = 0.5
    hint_dropout: float = 0.0
    noise_offset: float = 0.0
    weighting: Literal["uniform", "min_snr", "velocity"] = "uniform"
    snr_gamma: float = 5.0

    def __post_init__(self) -> None:
        for name in ("prompt_dropout", "hint_dropout", "noise_offset"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, not {getattr(self, name)}.")
        if self.weighting not in ("uniform", "min_snr", "velocity"):
            raise ValueError(f"weighting must be uniform, min_snr or velocity, not {self.weighting!r}.")
        if self.snr_gamma <= 0:
            raise ValueError(f"snr_gamma must be above 0, not {self.snr_gamma}.")


@dataclass(frozen=True)
class Draws:
    """The random draws of one batch.

    timesteps: (B,) int64. noise: (B, C, h, w). empty, blank: (B,) bool, where prompt and hint are left out.
    """

    timesteps: Tensor
    noise: Tensor
    empty: Tensor
    blank: Tensor

    def to(self, device: torch.device) -> "Draws":
        return Draws(*(t.to(device) for t in (self.timesteps, self.noise, self.empty, self.blank)))


def draw(objective: Objective, seed: int, numbers: Sequence[int], shape: Sequence[int], timesteps: int) -> Draws:
    """Draw for the pairs with these running numbers, latents of `shape` (C, h, w).

    Every sample has a generator of its own, made of the seed and its number: what it sees depends neither on the
    samples beside it nor on the number of processes nor on interruptions.
    """
    singles = [_draw_one(objective, seed, number, shape, timesteps) for number in numbers]
    return Draws(*(torch.stack(parts) for parts in zip(*singles, strict=True)))


def numbered_generator(seed: int, number: int) -> torch.Generator:
    """A generator on the CPU for the pair (or the epoch) with this number."""
    return torch.Generator().manual_seed((seed * _MIX + number) % 2**63)


def _draw_one(
    objective: Objective, seed: int, number: int, shape: Sequence[int], timesteps: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = numbered_generator(seed, number)
    time = torch.randint(timesteps, (), generator=generator)
    empty, blank = torch.rand(2, generator=generator).unbind()
    noise = torch.randn(tuple(shape), generator=generator)
    if objective.noise_offset:
        noise = noise + objective.noise_offset * torch.randn((shape[0], 1, 1), generator=generator)
    return time, noise, empty < objective.prompt_dropout, blank < objective.hint_dropout


def loss_weights(objective: Objective, schedule: NoiseSchedule, timesteps: Tensor) -> Tensor:
    """Weight of the squared error of every pair: (B,).

    With snr = alphas_cumprod / (1 - alphas_cumprod): min_snr is min(snr, snr_gamma) / snr for noise prediction and
    min(snr, snr_gamma) / (snr + 1) for velocity prediction (Hang et al. 2023, section 3.4).
    """
    if objective.weighting == "uniform":
        return torch.ones(timesteps.shape, device=timesteps.device)
    share = schedule.alphas_cumprod.to(timesteps.device)[timesteps]
    if objective.weighting == "velocity":
        weight = 1 / share if schedule.prediction == "eps" else torch.ones_like(share)
        return weight.clamp(max=objective.snr_gamma)
    # Written in shares, so that a schedule that ends at zero signal divides nothing by zero.
    clipped = torch.minimum(share, objective.snr_gamma * (1 - share))
    return clipped if schedule.prediction == "v" else torch.where(share > 0, clipped / share, 1.0)


def denoising_loss(
    objective: Objective, schedule: NoiseSchedule, prediction: Tensor, latents: Tensor, draws: Draws
) -> Tensor:
    """Weighted mean squared error of the prediction: a scalar in float32."""
    target = schedule.target(latents, draws.noise, draws.timesteps)
    error = (prediction.float() - target.float()).square().mean((1, 2, 3))
    return (loss_weights(objective, schedule, draws.timesteps) * error).mean()
