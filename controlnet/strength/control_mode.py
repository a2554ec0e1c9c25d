"""How much a control acts on the positive and the negative prompt, and the named modes of other programs."""

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


@dataclass(frozen=True)
class ControlMode:
    """CfgWeights and block weights that together make the prompt or the control count more; None: no such factor."""

    cfg_weights: CfgWeights | None = None
    block_weights: BlockWeights | None = None


def control_mode(name: ModeName, soft: SoftKind = "whole depth") -> ControlMode:
    """The mode of that name.

    - balanced: all residuals, both prompts.
    - prompt: soft weights on both prompts ("My prompt is more important", sd-webui).
    - control: soft weights, positive prompt only ("ControlNet is more important", sd-webui).
    - cond only: all residuals, positive prompt only (InvokeAI's unbalanced).
    - guess: soft weights, positive prompt only, with diffusers' own logarithmic weights whatever `soft` says.

    soft: which soft weights. They agree on SD1.5 (whole depth, A1111); on SDXL, A1111 weakens all by 0.825^3.
    """
    if name == "balanced":
        return ControlMode()
    if name == "cond only":
        return ControlMode(CfgWeights(1, 0))
    if name == "guess":
        return ControlMode(CfgWeights(1, 0), SoftDiffusers())
    weights = SOFT_WEIGHTS[soft]
    return ControlMode(None, weights) if name == "prompt" else ControlMode(CfgWeights(1, 0), weights)
