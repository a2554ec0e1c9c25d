"""The optimizer: AdamW as in the paper, or its 8-bit form where `bitsandbytes` is installed."""

from collections.abc import Iterable
from typing import Any

import torch
from torch.nn import Parameter

from .settings import Settings


def make_optimizer(parameters: Iterable[Parameter], settings: Settings) -> torch.optim.Optimizer:
    """An optimizer for the parameters. Raises ValueError when the 8-bit one is asked for and not installed."""
    options: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(parameters, **options)
    try:
        import bitsandbytes.optim as eight_bit  # optional, and slow to import
    except ImportError as error:
        raise ValueError(
            f"The optimizer {settings.optimizer} needs the package bitsandbytes. "
            "Install it (pip install bitsandbytes), or choose adamw."
        ) from error
    kinds = {"adamw8bit": eight_bit.AdamW8bit, "paged_adamw8bit": eight_bit.PagedAdamW8bit}
    if settings.optimizer not in kinds:
        raise ValueError(f"optimizer is adamw, {' or '.join(kinds)}, not {settings.optimizer!r}.")
    return kinds[settings.optimizer](parameters, **options)
