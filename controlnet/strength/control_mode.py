"""The control modes of other programs, by their names: soft block weights and CFG weights together."""

from dataclasses import dataclass
from typing import Literal, get_args

from .block_weights import BlockWeights, Soft, SoftA1111, SoftDiffusers
from .cfg_weights import CfgWeights

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
