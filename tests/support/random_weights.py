"""Values for the weights of an official file, such that a deep network of them neither dies nor explodes."""

import torch
from torch import Tensor

from .golden import golden_state_dict


def random_state_dict(name: str, seed: int = 0) -> dict[str, Tensor]:
    """A golden state dict with values: matrices scaled by their inputs, norms near 1, running variances above 0."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for key, empty in golden_state_dict(name).items():
        if not empty.is_floating_point():
            weights[key] = torch.zeros(empty.shape, dtype=empty.dtype)
            continue
        noise = torch.randn(empty.shape, generator=generator)
        if key.endswith("running_var"):
            weights[key] = 0.5 + noise.abs()
        elif empty.dim() > 1:
            weights[key] = noise * max(1, empty[0].numel()) ** -0.5
        elif key.endswith(("weight", "gamma")):
            weights[key] = 1 + 0.1 * noise
        else:
            weights[key] = 0.1 * noise
    return weights
