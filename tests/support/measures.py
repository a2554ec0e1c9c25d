"""How far two results are from each other."""

import torch
from torch import Tensor


def relative_error(value: Tensor, reference: Tensor) -> float:
    """Relative L2 distance, computed in float64: |value - reference| / |reference|, over all elements."""
    exact = reference.double()
    return float(torch.linalg.vector_norm(value.double() - exact) / torch.linalg.vector_norm(exact))
