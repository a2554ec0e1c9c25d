"""Names and shapes of the weights in official files, written down from the files' own networks, and values for them."""

from pathlib import Path

import torch
from torch import Tensor

_FOLDER = Path(__file__).parent / "state_dicts"
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "int64": torch.int64}


def golden_state_dict(name: str, device: str = "meta") -> dict[str, Tensor]:
    """A state dict of exactly the official names, shapes and types, without values (`meta`) or all zero."""
    tensors = {}
    for line in (_FOLDER / f"{name}.tsv").read_text().splitlines():
        key, shape, dtype = line.split("\t")
        sizes = [int(size) for size in shape.strip("()").split(",") if size.strip()]
        tensors[key] = torch.zeros(sizes, dtype=_DTYPES[dtype], device=device)
    return tensors


def random_state_dict(name: str, seed: int = 0) -> dict[str, Tensor]:
    """A golden state dict with values of which a deep network neither dies nor explodes.

    Matrices are scaled by their inputs, norms are near 1, running variances above 0.
    """
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
