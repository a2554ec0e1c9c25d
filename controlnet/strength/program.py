"""All choices in which programs differ, set at once to equal one of them."""

from dataclasses import dataclass
from typing import Literal, get_args

from ..hint.fit import FitMode, Resampling
from .control_mode import SoftKind
from .timeline import RangeCounting

ProgramName = Literal["ComfyUI", "A1111", "diffusers"]
PROGRAMS: tuple[ProgramName, ...] = get_args(ProgramName)


@dataclass(frozen=True)
class ProgramChoices:
    """How a program counts ranges, weakens blocks, brings a hint to size and treats pooled (shuffle) ControlNets.

    pooled_cond_only: a ControlNet with global average pooling acts on the positive side only, as its authors ask
    (ControlNet 1.1 README) and sd-webui and diffusers do; ComfyUI applies it on both.
    """

    counting: RangeCounting
    soft: SoftKind
    fit: FitMode
    resampling: Resampling
    pooled_cond_only: bool


_CHOICES: dict[ProgramName, ProgramChoices] = {
    "ComfyUI": ProgramChoices("timesteps", "whole depth", "crop", "nearest", pooled_cond_only=False),
    "A1111": ProgramChoices("steps (A1111)", "A1111", "crop", "edges", pooled_cond_only=True),
    "diffusers": ProgramChoices("steps", "diffusers", "stretch", "lanczos", pooled_cond_only=True),
}


def program_choices(name: ProgramName) -> ProgramChoices:
    """The choices of that program."""
    return _CHOICES[name]
