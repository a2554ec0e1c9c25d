"""The numbers of a training."""

from dataclasses import dataclass, field
from typing import Literal, get_args

import torch

from .objective import Objective

Precision = Literal["float32", "bfloat16", "float16"]
OptimizerName = Literal["adamw", "adamw8bit", "paged_adamw8bit"]


@dataclass(frozen=True)
class Settings:
    """All numbers of a training.

    steps: optimizer steps. batch: pairs that a process computes at once. gradient_accumulation_steps: batches whose
    gradients are added up before a step.
    learning_rate: reached linearly over `warmup` steps, then constant, as in the paper. max_grad_norm: larger gradients
    are scaled down to it; 0: no limit.
    precision: of the computation; the trained weights are always float32. ema_decay: of the averaged weights, such as
    0.999; 0: no averaging. only_middle: the zero convolutions of the skip connections are not trained, so they stay
    zero in a new ControlNet (`only_mid_control` of the original).
    save_every, sample_every: in steps; 0: only at the end. workers: processes that read pairs ahead of the step; 0: a
    thread does.

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
    optimizer: OptimizerName = "adamw"
    ema_decay: float = 0.0
    only_middle: bool = False
    seed: int = 0
    save_every: int = 500
    sample_every: int = 100
    workers: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "gradient_accumulation_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}.")
        for name in ("warmup", "save_every", "sample_every", "max_grad_norm", "weight_decay", "workers"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must not be negative, but it is {getattr(self, name)}.")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}.")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay must be from 0 to below 1, not {self.ema_decay}.")
        for name, choices in (("precision", get_args(Precision)), ("optimizer", get_args(OptimizerName))):
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be {', '.join(choices[:-1])} or {choices[-1]}, not {getattr(self, name)!r}."
                )

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the computation."""
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[self.precision]

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of the step that follows `step` finished ones."""
        return self.learning_rate * min(1.0, (step + 1) / (self.warmup + 1))
