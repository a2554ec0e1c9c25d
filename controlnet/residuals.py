"""What a ControlNet gives to the base model."""

from collections.abc import Callable, Sequence
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

    @property
    def flat(self) -> tuple[Tensor, ...]:
        """All of them in the order input, output, middle: by depth."""
        return (*self.input, *self.output, *self.middle)

    def with_flat(self, flat: Sequence[Tensor]) -> "Residuals":
        """Others in the places of these, in the order of `flat`."""
        inputs, middle = len(self.input), len(self.input) + len(self.output)
        return Residuals(tuple(flat[inputs:middle]), tuple(flat[middle:]), tuple(flat[:inputs]))

    def copy(self) -> "Residuals":
        """Tensors of its own, to change in place; what was one tensor stays one."""
        copies: dict[int, Tensor] = {}
        return self.map(lambda tensor: copies.setdefault(id(tensor), tensor.clone()))

    def map(self, change: Callable[[Tensor], Tensor]) -> "Residuals":
        """All of them changed."""
        return self.with_flat([change(tensor) for tensor in self.flat])
