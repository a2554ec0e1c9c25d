"""Controls with other settings: what our nodes change of a control, by giving a changed copy."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ..controlnet.caching.run_interval import RunInterval
from ..controlnet.hint.fit import Fit
from ..controlnet.hint.order import HintOrder
from ..controlnet.strength.cfg_weights import CfgWeights
from ..controlnet.strength.control_mode import ModeName, control_mode
from ..controlnet.strength.factors import StrengthFactors
from ..controlnet.strength.program import ProgramName, program_choices
from .controls.control import Control


def own_control(control: Any, what: str) -> Control:
    """The control as one of ours. what: that is to be set, for the message.

    Raises ValueError when it is core's or another pack's, which has no such settings.
    """
    if not isinstance(control, Control):
        raise ValueError(
            f"This ControlNet was not loaded by ZeroConv, so it cannot take a {what}. Load it with ControlNet Load."
        )
    return control


def with_factors(control: Any, what: str, change: Callable[[StrengthFactors], StrengthFactors]) -> Control:
    """A copy whose factors are changed."""
    own = own_control(control, what)
    return own.with_settings(factors=change(own.settings.factors).simplified())


def with_fit(
    control: Any, fit: Fit, order: HintOrder, own_region: bool = False, frames: tuple[int, ...] = ()
) -> Control:
    """A copy that brings its hints to the picture's size, and to its pictures, in this way.

    own_region: a prompt for an area gets the part of the hint that lies there. frames: of a video, that the hints are
    for. Raises ValueError when the control's kind of network cannot do that.
    """
    own = own_control(control, "fit")
    abilities = own.runner.abilities
    if own_region and not abilities.regions:
        raise ValueError(f"'{own.name}' always lays the whole hint over an area. Choose 'whole hint' in Resize Hint.")
    if frames and not abilities.frames:
        raise ValueError(
            f"'{own.name}' is not a SparseCtrl and wants a hint for all pictures. Empty 'frames' in Resize Hint."
        )
    return own.with_settings(fit=fit, hint_order=order, own_region=own_region, frames=frames)


def with_run_interval(control: Any, run_interval: RunInterval) -> Control:
    """A copy whose network runs at fewer steps."""
    return own_control(control, "run interval").with_settings(run_interval=run_interval)


def with_record(control: Any) -> Control:
    """A copy that remembers how much it adds at every step."""
    return own_control(control, "record").with_settings(measured=True)


def with_program(control: Any, program: ProgramName, mode: ModeName) -> Control:
    """A copy that acts as the control would in another program, in one of that program's modes."""
    choices, own = program_choices(program), own_control(control, "choice of a program")
    factors = replace(own.settings.factors, counting=choices.counting).in_mode(control_mode(mode, choices.soft))
    if own.global_average_pooling and choices.pooled_cond_only:
        factors = replace(factors, cfg_weights=CfgWeights(1, 0))
    return own.with_settings(factors=factors, fit=Fit(choices.fit, choices.resampling))
