"""Estimates that are refined in rounds and enlarged by learned weights, as RAFT's (Teed and Deng, arXiv 2003.12039)."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..official import Ops


class ConvGru(nn.Module):
    """A gated recurrent unit of convolutions: the new hidden state from the last one and features."""

    def __init__(self, hidden: int, features: int, kernel: int, ops: Ops) -> None:
        super().__init__()
        for gate in "zrq":
            self.add_module(f"conv{gate}", ops.Conv2d(hidden + features, hidden, kernel, padding=kernel // 2))

    def forward(self, hidden: Tensor, features: Tensor, context: tuple[Tensor, ...] = ()) -> Tensor:
        """(B, hidden, h, w) and (B, features, h, w) -> (B, hidden, h, w). context: added to each of the three gates."""
        both = torch.cat([hidden, features], dim=1)
        update = self._gate(0, both, context).sigmoid()
        reset = self._gate(1, both, context).sigmoid()
        proposed = self._gate(2, torch.cat([reset * hidden, features], dim=1), context).tanh()
        return (1 - update) * hidden + update * proposed

    def _gate(self, index: int, x: Tensor, context: tuple[Tensor, ...]) -> Tensor:
        gate = self.get_submodule(f"conv{'zrq'[index]}")(x)
        return gate + context[index] if context else gate


def enlarge_convexly(x: Tensor, weights: Tensor, factor: int, border: str = "replicate") -> Tensor:
    """(B, C, h, w) so many times as large: each pixel a mean of the 3x3 around it.

    weights: (B, 9 * factor * factor, h, w), before the softmax. border: how `pad` fills what lies outside.
    """
    shares = weights.unflatten(1, (9, factor, factor)).softmax(1)
    finer = torch.einsum("bnyxhw,bcnhw->bchywx", shares, window(x, 3, border))
    return finer.flatten(4, 5).flatten(2, 3)


def window(x: Tensor, side: int, border: str = "replicate") -> Tensor:
    """The pixels around each pixel, row by row: (B, C, h, w) -> (B, C, side * side, h, w)."""
    padded = functional.pad(x, (side // 2,) * 4, mode=border)
    return functional.unfold(padded, side).unflatten(1, (x.shape[1], side**2)).unflatten(3, x.shape[2:])
