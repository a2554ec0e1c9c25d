"""Averaged (EMA) weights, which give steadier samples than the last ones.

A file of its own although it is short: it is looked for by its name.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """Exponential moving average of a module's weights. The decay rises over the first steps, as in diffusers."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {key: value.detach().clone() for key, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Add the weights after `step` finished steps to the average."""
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        for key, value in module.state_dict().items():
            self.weights[key].lerp_(value, share)

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Replace the average."""
        for key, value in weights.items():
            self.weights[key].copy_(value)

    @contextmanager
    def applied(self, module: nn.Module) -> Iterator[None]:
        """Give the module the averaged weights inside the block."""
        trained = {key: value.detach().clone() for key, value in module.state_dict().items()}
        module.load_state_dict(self.weights)
        try:
            yield
        finally:
            module.load_state_dict(trained)
