"""How much a control acts on the positive and on the negative prompt."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class CfgWeights:
    """Factor for the rows of the positive prompt (cond) and of the negative (uncond). 0 leaves them uncontrolled.

    Raises ValueError for a factor outside 0..10.
    """

    cond: float = 1.0
    uncond: float = 1.0

    def __post_init__(self) -> None:
        for name, value in (("positive", self.cond), ("negative", self.uncond)):
            if not 0 <= value <= 10:
                raise ValueError(f"The weight for the {name} prompt is {value:g}; it must lie in 0..10.")

    def factors(self, negative: Sequence[bool]) -> tuple[float, ...]:
        """One factor for each group of rows. negative: whether each belongs to the negative prompt."""
        return tuple(self.uncond if group else self.cond for group in negative)

    @property
    def is_one(self) -> bool:
        return self.cond == self.uncond == 1

    @property
    def is_zero(self) -> bool:
        return self.cond == self.uncond == 0
