"""Weights over the depth of a ControlNet: one factor for each of its residuals, first skip first, middle last.

Every kind gives factors for any number of residuals: SD1.5 has 13, SDXL 10, SD3 and Flux other numbers.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from ..notation import Scanner, format_number
from .schedule import Schedule

SOFT_BASE = 0.825
"""The base in the guess mode of the paper's authors (`gradio_*.py`, ControlNet 1.0) and in sd-webui."""

SD15_RESIDUALS = 13
T2I_RESIDUALS = 4
T2I_SOFT = (0.25, 0.62, 0.825, 1.0)
"""sd-webui's soft weights of T2I adapters, shallowest first."""


class BlockWeights(ABC):
    """A rule that gives a factor for every residual."""

    @abstractmethod
    def factors(self, count: int) -> tuple[float, ...]:
        """`count` factors, from the shallowest residual to the deepest (the middle)."""


@dataclass(frozen=True)
class Uniform(BlockWeights):
    """The same factor for all."""

    value: float = 1.0

    def factors(self, count: int) -> tuple[float, ...]:
        return (self.value,) * count


@dataclass(frozen=True)
class Listed(BlockWeights):
    """Factors one by one; for another number of residuals, the straight lines between them over the depth."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("The block weights are empty. Write one number for each block, such as '1, 0.8, 0.5'.")

    def factors(self, count: int) -> tuple[float, ...]:
        return tuple(_at_depth(self.values, depth) for depth in depths(count))

    def __str__(self) -> str:
        return ", ".join(format_number(value) for value in self.values)


@dataclass(frozen=True)
class Numbered(BlockWeights):
    """Factors by the number of the residual, for whatever network: the middle has one of its own, which is the last.

    Skips behind the listed ones have the factor 1 (Advanced-ControlNet's custom weights).
    """

    skips: tuple[float, ...]
    middle: float = 1.0

    def factors(self, count: int) -> tuple[float, ...]:
        listed = self.skips[: count - 1]
        return (*listed, *(1.0,) * (count - 1 - len(listed)), self.middle)


@dataclass(frozen=True)
class MiddleTimes(BlockWeights):
    """Other weights, the middle's multiplied."""

    weights: BlockWeights
    factor: float

    def factors(self, count: int) -> tuple[float, ...]:
        *skips, middle = self.weights.factors(count)
        return (*skips, middle * self.factor)


@dataclass(frozen=True)
class Curve(BlockWeights):
    """A curve over the depth: position 0 is the shallowest residual, 1 the deepest."""

    curve: Schedule

    def factors(self, count: int) -> tuple[float, ...]:
        return tuple(self.curve.factor(depth) for depth in depths(count))

    def __str__(self) -> str:
        return str(self.curve)


@dataclass(frozen=True)
class Soft(BlockWeights):
    """base^(n - 1 - i): the middle acts whole, each residual before it by `base` less (Advanced-ControlNet)."""

    base: float = SOFT_BASE

    def factors(self, count: int) -> tuple[float, ...]:
        return tuple(self.base ** (count - 1 - i) for i in range(count))


@dataclass(frozen=True)
class SoftA1111(BlockWeights):
    """base^(12 - i), cut to the first n: on SDXL the middle gets 0.825^3 (sd-webui). T2I adapters have a table."""

    base: float = SOFT_BASE

    def factors(self, count: int) -> tuple[float, ...]:
        if count == T2I_RESIDUALS:
            return T2I_SOFT
        whole = Soft(self.base).factors(max(SD15_RESIDUALS, count))
        return whole[:count]


@dataclass(frozen=True)
class SoftDiffusers(BlockWeights):
    """10^(-1 + i / (n - 1)): from a tenth to one in equal ratios (guess mode of diffusers' ControlNetModel)."""

    def factors(self, count: int) -> tuple[float, ...]:
        return tuple(10 ** (depth - 1) for depth in depths(count))


def parse_block_weights(text: str) -> Listed | Curve:
    """Read a list (`1, 0.8, 0.5`) or a curve over the depth (`0: 0.2 ease, 1: 1`).

    Raises ValueError that marks the place of a mistake.
    """
    if ":" in text:
        return Curve(Schedule.parse(text, "steps"))
    scanner = Scanner(text, "list of block weights")
    values: list[float] = []
    while not scanner.at_end:
        values.append(scanner.number("a weight"))
        scanner.end_entry()
    return Listed(tuple(values))


def needed(factors: tuple[float, ...]) -> int:
    """How many residuals from the first on have to be computed: none behind them has a factor but zero."""
    return max((i + 1 for i, factor in enumerate(factors) if factor != 0), default=0)


def depths(count: int) -> list[float]:
    """Where each residual is: 0 for the first, 1 for the last; a single one is the last."""
    return [i / (count - 1) for i in range(count)] if count > 1 else [1.0] * count


def _at_depth(values: tuple[float, ...], depth: float) -> float:
    place = round(depth * (len(values) - 1), 9)
    below = min(int(place), len(values) - 1)
    above = min(below + 1, len(values) - 1)
    way = place - below
    return values[below] * (1 - way) + values[above] * way
