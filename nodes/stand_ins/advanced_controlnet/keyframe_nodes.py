"""Advanced-ControlNet's keyframes over the steps and over the items of a batch."""

from functools import partial
from typing import Any

from ..keyframes import (
    EASINGS,
    Easing,
    LatentKeyframes,
    TimestepKeyframe,
    between,
    parse_latent_keyframes,
    with_keyframes,
)
from ..row import Input, choice, number, switch, whole
from .rows import KEYFRAMES, LATENTS, SINGLE_STEPS, STRENGTH_AND_RANGE, optional, row

FARTHEST = 2**53 - 1


def _keyframe(start_percent: float, guarantee_steps: int, prev_timestep_kf: Any, strength: float, **values: Any) -> Any:
    if guarantee_steps > 1:
        raise ValueError(
            f"guarantee_steps is {guarantee_steps}; keyframes of ZeroConv act from their start on. Set it to 1, and "
            "start_percent of the next keyframe later."
        )
    return with_keyframes(prev_timestep_kf, _filled(start_percent, strength, values))


def _filled(start: float, strength: float, values: dict[str, Any]) -> TimestepKeyframe:
    return TimestepKeyframe(
        float(start),
        float(strength),
        values["cn_weights"],
        values["latent_keyframe"],
        values["null_latent_kf_strength"],
        values["inherit_missing"],
        values["mask_optional"],
    )


def _keyframes_between(
    start_percent: float,
    end_percent: float,
    strength_start: float,
    strength_end: float,
    interpolation: Easing,
    intervals: int,
    prev_timestep_kf: Any,
    **values: Any,
) -> Any:
    strengths = between(strength_start, strength_end, intervals, interpolation)
    starts = between(start_percent, end_percent, intervals, "linear")
    added = (_filled(*pair, values) for pair in zip(starts, strengths, strict=True))
    return with_keyframes(prev_timestep_kf, *added)


def _keyframes_from_list(
    float_strengths: Any, start_percent: float, end_percent: float, prev_timestep_kf: Any, **values: Any
) -> Any:
    strengths = _list(float_strengths)
    starts = between(start_percent, end_percent, len(strengths), "linear")
    added = (_filled(*pair, values) for pair in zip(starts, strengths, strict=True))
    return with_keyframes(prev_timestep_kf, *added)


def _list(strengths: Any) -> list[float]:
    return [float(strengths)] if isinstance(strengths, int | float) else [float(value) for value in strengths]


def _latent(batch_index: int, strength: float, prev_latent_kf: LatentKeyframes | None) -> LatentKeyframes:
    """A keyframe of the same item is replaced."""
    before = prev_latent_kf or LatentKeyframes()
    return before.over(LatentKeyframes({batch_index: strength}))


def _latents_between(
    batch_index_from: int,
    batch_index_to_excl: int,
    strength_from: float,
    strength_to: float,
    interpolation: Easing,
    prev_latent_kf: LatentKeyframes | None,
    print_keyframes: bool,
) -> LatentKeyframes:
    items = range(batch_index_from, batch_index_to_excl)
    if batch_index_from > batch_index_to_excl or batch_index_from < 0 <= batch_index_to_excl:
        raise ValueError(
            f"batch_index_from is {batch_index_from} and batch_index_to_excl {batch_index_to_excl}; the second must "
            "not be smaller, and both must count from the same end."
        )
    strengths = between(strength_from, strength_to, len(items), interpolation)
    return LatentKeyframes(dict(zip(items, strengths, strict=True))).over(prev_latent_kf)


def _latents_from_list(
    float_strengths: Any, prev_latent_kf: LatentKeyframes | None, print_keyframes: bool
) -> LatentKeyframes:
    """A single number, and not a list, adds none."""
    listed = {} if isinstance(float_strengths, int | float) else dict(enumerate(_list(float_strengths)))
    return LatentKeyframes(listed).over(prev_latent_kf)


def _latents_from_text(
    index_strengths: str,
    prev_latent_kf: LatentKeyframes | None,
    latent_optional: dict[str, Any] | None,
    print_keyframes: bool,
) -> LatentKeyframes:
    count = None if latent_optional is None else latent_optional["samples"].shape[0]
    return parse_latent_keyframes(index_strengths, count).over(prev_latent_kf)


START, END = STRENGTH_AND_RANGE[1:]
BEFORE = (optional("prev_timestep_kf", "TIMESTEP_KEYFRAME"),)
HELD = (optional("cn_weights", "CONTROL_NET_WEIGHTS"), optional("latent_keyframe", "LATENT_KEYFRAME"))
INHERITED = (number("null_latent_kf_strength", 0.0, 0.0, 10.0, 0.001, optional=True),)
INHERITED += (switch("inherit_missing", True, optional=True),)
MASK, PRINTED = optional("mask_optional", "MASK"), switch("print_keyframes", False, optional=True)
LATENT_BEFORE = optional("prev_latent_kf", "LATENT_KEYFRAME")
STRENGTHS = Input("float_strengths", "FLOAT", -1, minimum=-1, step=0.001)
ITEM = partial(whole, default=0, low=-FARTHEST, high=FARTHEST)

KEYFRAME_NODES = (
    row("TimestepKeyframe", "Timestep Keyframe",
         (START, *BEFORE, number("strength", 1.0, 0.0, 10.0, 0.001, optional=True), *HELD, *INHERITED,
          whole("guarantee_steps", 1, 0, FARTHEST, optional=True), MASK), KEYFRAMES, _keyframe,
         difference=SINGLE_STEPS),
    row("ACN_TimestepKeyframeInterpolation", "Timestep Keyframe Interp.",
         (START, END, number("strength_start", 1.0, 0.0, 10.0, 0.001), number("strength_end", 1.0, 0.0, 10.0, 0.001),
          choice("interpolation", *EASINGS), whole("intervals", 50, 2, 100), *BEFORE, *HELD, *INHERITED, MASK, PRINTED),
         KEYFRAMES, _keyframes_between, difference=SINGLE_STEPS),
    row("ACN_TimestepKeyframeFromStrengthList", "Timestep Keyframe From List",
         (STRENGTHS, START, END, *BEFORE, *HELD, *INHERITED, MASK, PRINTED), KEYFRAMES, _keyframes_from_list,
         difference=SINGLE_STEPS),
    row("LatentKeyframe", "Latent Keyframe", (ITEM("batch_index"), number("strength", 1.0, 0.0, 10.0, 0.001),
         LATENT_BEFORE), LATENTS, _latent),
    row("LatentKeyframeTiming", "Latent Keyframe Interp.",
         (ITEM("batch_index_from"), ITEM("batch_index_to_excl"), number("strength_from", 1.0, 0.0, 10.0, 0.001),
          number("strength_to", 1.0, 0.0, 10.0, 0.001), choice("interpolation", *EASINGS), LATENT_BEFORE, PRINTED),
         LATENTS, _latents_between),
    row("LatentKeyframeBatchedGroup", "Latent Keyframe From List", (STRENGTHS, LATENT_BEFORE, PRINTED), LATENTS,
         _latents_from_list),
    row("LatentKeyframeGroup", "Latent Keyframe Group",
         (Input("index_strengths", "STRING", ""), LATENT_BEFORE, optional("latent_optional", "LATENT"), PRINTED),
         LATENTS,
         _latents_from_text),
)  # fmt: skip
