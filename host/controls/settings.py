"""Controls with another factors or another way to take their hint."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ...controlnet.caching.run_interval import RunInterval
from ...controlnet.hint.fit import Fit
from ...controlnet.hint.order import HintOrder
from ...controlnet.strength.control_mode import CfgWeights, ModeName, control_mode
from ...controlnet.strength.factors import StrengthFactors
from ...controlnet.strength.preset import PresetName, preset
from .control import ShapedControl


def shaped_copy(control: Any, what: str) -> ShapedControl:
    """A copy that may be changed. what: that is to be set, for the message.

    Raises ValueError when the control is core's or another pack's, which has no such settings.
    """
    if not isinstance(control, ShapedControl):
        raise ValueError(
            f"This ControlNet was not loaded by ZeroConv, so it cannot take a {what}. "
            "Load it with Load ControlNet (ZeroConv)."
        )
    return control.copy()


def with_factors(control: Any, what: str, change: Callable[[StrengthFactors], StrengthFactors]) -> ShapedControl:
    """A copy whose factors is changed."""
    shaped = shaped_copy(control, what)
    shaped.factors = change(shaped.factors).simplified()
    return shaped


def with_fit(
    control: Any, fit: Fit, order: HintOrder, own_region: bool = False, frames: tuple[int, ...] = ()
) -> ShapedControl:
    """A copy that brings its hints to the picture's size, and to its pictures, in this way.

    own_region: a prompt for a region gets the part of the hint that lies there. frames: of a video, that the hints are
    for. Raises ValueError when the control's kind of network cannot do that.
    """
    shaped = shaped_copy(control, "fit")
    if own_region and not shaped.supports_regions:
        raise ValueError(f"'{shaped.name}' always lays the whole hint over a region. Choose 'whole hint' in Fit Hint.")
    if frames and not shaped.takes_frames:
        raise ValueError(
            f"'{shaped.name}' is no SparseCtrl and wants a hint for all pictures. Empty 'frames' in Fit Hint."
        )
    shaped.fit, shaped.hint_order, shaped.own_region, shaped.frames = fit, order, own_region, frames
    return shaped


def with_run_interval(control: Any, run_interval: RunInterval) -> ShapedControl:
    """A copy whose network runs at fewer steps."""
    shaped = shaped_copy(control, "run_interval")
    shaped.run_interval = run_interval
    return shaped


def with_record(control: Any) -> ShapedControl:
    """A copy that remembers how much it adds at every step."""
    shaped = shaped_copy(control, "record")
    shaped.measured = True
    return shaped


def with_preset(control: Any, program: PresetName, mode: ModeName) -> ShapedControl:
    """A copy that acts as the control would in another program, in one of that program's modes."""
    choices = preset(program)
    shaped = shaped_copy(control, "preset")
    factors = replace(shaped.factors, counting=choices.counting).in_mode(control_mode(mode, choices.soft))
    if shaped.global_average_pooling and choices.pooled_cond_only:
        factors = replace(factors, cfg_weights=CfgWeights(1, 0))
    shaped.factors = factors
    shaped.fit = Fit(choices.fit, choices.resampling)
    return shaped
