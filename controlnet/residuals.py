"""What a ControlNet gives to the base model."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Residuals:
    """Tensors that are added to the frozen UNet: y_c = F(x) + Z(F_c(x + Z(c))), paper eq. 2.

    output: one for each skip connection, in encoder order, (rows, channels, h, w); middle: one; input: those that
    are added inside the encoder (T2I adapters), usually none. When weights over the depth are zero at the end, the
    last ones may be missing.
    """

    output: tuple[Tensor, ...]
    middle: tuple[Tensor, ...]
    input: tuple[Tensor, ...] = ()

    @property
    def count(self) -> int:
        return len(self.input) + len(self.output) + len(self.middle)

    def copy(self) -> "Residuals":
        """Tensors of its own, to change in place; what was one tensor stays one."""
        copies: dict[int, Tensor] = {}
        return self.map(lambda tensor: copies.setdefault(id(tensor), tensor.clone()))

    def map(self, change: Callable[[Tensor], Tensor]) -> "Residuals":
        """All of them changed."""
        parts = (self.output, self.middle, self.input)
        return Residuals(*(tuple(change(tensor) for tensor in part) for part in parts))
