"""What a ControlNet gives to the base model."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Residuals:
    """Tensors that are added to the frozen UNet: y_c = F(x) + Z(F_c(x + Z(c))), paper eq. 2.

    output: one for each skip connection, in encoder order, (rows, channels, h, w); middle: one; input: those that
    are added inside the encoder (T2I adapters), usually none.
    """

    output: tuple[Tensor, ...]
    middle: tuple[Tensor, ...]
    input: tuple[Tensor, ...] = ()
