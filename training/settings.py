"""How a training goes."""

from dataclasses import dataclass, field
from typing import Literal

import torch

from .objective import Objective

Precision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Settings:
    """All numbers of a training.

    steps: optimizer steps. batch: samples a process computes at once. accumulation: passes summed up before a step.
    learning_rate: reached linearly over `warmup` steps, then kept, as in the paper. clip: longest gradient; 0: any.
    precision: of the computation; the trained weights are float32 always. average: decay of the averaged (EMA)
    weights, such as 0.999; 0: none. only_middle: the zero convolutions of the skips stay as they are, zero in a new
    ControlNet (`only_mid_control` of the original).
    save_every, sample_every: in steps; 0: only at the end.

    `sd_locked = False` of the original, which also trains the base model's decoder, is left out on purpose: the
    result would no longer be a ControlNet for the base model that others have, but a base model of its own.
    """

    steps: int = 5000
    batch: int = 4
    gradient_accumulation_steps: int = 1
    learning_rate: float = 1e-5
    warmup: int = 0
    weight_decay: float = 1e-2
    max_grad_norm: float = 1.0
    objective: Objective = field(default_factory=Objective)
    precision: Precision = "float32"
    gradient_checkpointing: bool = False
    optimizer: Literal["adamw", "adamw8bit", "paged_adamw8bit"] = "adamw"
    ema_decay: float = 0.0
    only_middle: bool = False
    seed: int = 0
    save_every: int = 500
    sample_every: int = 100

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "gradient_accumulation_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}.")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}.")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay must be from 0 to below 1, not {self.ema_decay}.")
        if self.precision not in ("float32", "bfloat16", "float16"):
            raise ValueError(f"precision is float32, bfloat16 or float16, not {self.precision!r}.")

    @property
    def dtype(self) -> torch.dtype:
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[self.precision]

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of the step that follows `step` finished ones."""
        return self.learning_rate * min(1.0, (step + 1) / (self.warmup + 1))
