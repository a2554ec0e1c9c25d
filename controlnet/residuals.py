"""The residuals that a ControlNet adds to the base model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

PARTS = ("input", "output", "middle")
"""The three lists of residuals, in order of depth."""

Placement = Mapping[str, tuple[Sequence[int], int]]
"""For each of PARTS: the index in the base model's list of every residual, and the length of that list."""


@dataclass(frozen=True)
class Residuals:
    """Tensors that are added to the frozen UNet: y_c = F(x) + Z(F_c(x + Z(c))), paper eq. 2.

    output: one for each skip connection, in encoder order, (rows, channels, h, w); middle: one; input: those that
    are added inside the encoder (T2I adapters), usually none. When weights over the depth are zero at the end, the
    last ones may be missing. placement: where the base model looks for them; None: one after the other.
    """

    output: tuple[Tensor, ...]
    middle: tuple[Tensor, ...]
    input: tuple[Tensor, ...] = ()
    placement: Placement | None = None

    @property
    def count(self) -> int:
        return len(self.input) + len(self.output) + len(self.middle)

    @property
    def flat(self) -> tuple[Tensor, ...]:
        """All of them in the order of PARTS: by depth."""
        return (*self.input, *self.output, *self.middle)

    def with_flat(self, flat: Sequence[Tensor]) -> "Residuals":
        """Others in the places of these, in the order of `flat`."""
        inputs, middle = len(self.input), len(self.input) + len(self.output)
        return replace(self, output=tuple(flat[inputs:middle]), middle=tuple(flat[middle:]), input=tuple(flat[:inputs]))

    def copy(self) -> "Residuals":
        """Tensors of its own, to change in place; what was one tensor stays one."""
        copies: dict[int, Tensor] = {}
        return self.map(lambda tensor: copies.setdefault(id(tensor), tensor.clone()))

    def map(self, change: Callable[[Tensor], Tensor]) -> "Residuals":
        """All of them changed."""
        return self.with_flat([change(tensor) for tensor in self.flat])
