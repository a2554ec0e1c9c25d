"""The names and shapes of the weights in the official files, written down from the files' own networks."""

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
