"""Which side of the guidance a control acts on, and the named modes of other programs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from .block_weights import BlockWeights, Soft, SoftA1111, SoftDiffusers

ModeName = Literal["balanced", "prompt", "control", "cond only", "guess"]
MODES: tuple[ModeName, ...] = get_args(ModeName)

SoftKind = Literal["whole depth", "A1111", "diffusers"]
SOFT_KINDS: tuple[SoftKind, ...] = get_args(SoftKind)

SOFT_WEIGHTS: dict[SoftKind, BlockWeights] = {
    "whole depth": Soft(),
    "A1111": SoftA1111(),
    "diffusers": SoftDiffusers(),
}

UNCOND = 1
"""The host's mark of the negative prompt in `cond_or_uncond`; 0 and all other groups count as the positive."""


@dataclass(frozen=True)
class Sides:
    """Factor for the positive prompt's half of a step and for the negative's. 0 leaves that half uncontrolled.

    Raises ValueError for a factor outside 0..10.
    """

    cond: float = 1.0
    uncond: float = 1.0

    def __post_init__(self) -> None:
        for name, value in (("positive", self.cond), ("negative", self.uncond)):
            if not 0 <= value <= 10:
                raise ValueError(f"The weight of the {name} side is {value:g}; it must lie in 0..10.")

    def factors(self, cond_or_uncond: Sequence[int]) -> tuple[float, ...]:
        """One factor for each group of rows, as the host lists them."""
        return tuple(self.uncond if group == UNCOND else self.cond for group in cond_or_uncond)

    @property
    def is_one(self) -> bool:
        return self.cond == self.uncond == 1

    @property
    def is_zero(self) -> bool:
        return self.cond == self.uncond == 0


@dataclass(frozen=True)
class ControlMode:
    """Sides and block weights that together make the prompt or the control count more; None: no such factor."""

    sides: Sides | None = None
    block_weights: BlockWeights | None = None


def control_mode(name: ModeName, soft: SoftKind = "whole depth") -> ControlMode:
    """The mode of that name.

    - balanced: all residuals, both sides.
    - prompt: soft weights on both sides ("My prompt is more important", sd-webui).
    - control: soft weights, positive side only ("ControlNet is more important", sd-webui).
    - cond only: all residuals, positive side only (InvokeAI's unbalanced).
    - guess: soft weights, positive side only, with diffusers' own logarithmic weights whatever `soft` says.

    soft: which soft weights. They agree on SD1.5 (whole depth, A1111); on SDXL, A1111 weakens all by 0.825^3.
    """
    if name == "balanced":
        return ControlMode()
    if name == "cond only":
        return ControlMode(Sides(1, 0))
    if name == "guess":
        return ControlMode(Sides(1, 0), SoftDiffusers())
    weights = SOFT_WEIGHTS[soft]
    return ControlMode(None, weights) if name == "prompt" else ControlMode(Sides(1, 0), weights)
