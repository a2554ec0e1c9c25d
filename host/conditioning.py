"""Attach controls to ComfyUI's conditionings."""

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from ..controlnet.hint.image import as_rgb_hint
from ..controlnet.strength.block_weights import BlockWeights
from ..controlnet.strength.mask import Mask
from ..controlnet.strength.schedule import Schedule
from .sampling.prompts import NEGATIVE, POSITIVE, PROMPT_KEY
from .settings import with_factors

Conditioning = list[list[Any]]
"""ComfyUI's CONDITIONING: a list of [prompt embeddings, dictionary]."""


@dataclass(frozen=True)
class Unit:
    """One control with its settings.

    control: a `ControlBase` from our loader, core's or another pack's. image: BHWC, 0..1. strength: 0..10.
    start, end: 0..1, fractions of the timesteps. vae: a host VAE, for controls that see latents. mask: (B, H, W),
    0..1, where the control acts. schedule, block_weights: how much, over the steps and over the depth.
    """

    control: Any
    image: Tensor
    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    vae: Any = None
    mask: Tensor | None = None
    schedule: Schedule | None = None
    block_weights: BlockWeights | None = None


def apply_unit(unit: Unit, positive: Conditioning, negative: Conditioning) -> tuple[Conditioning, Conditioning]:
    """New conditionings with the control at the end of their chains; the given ones are left as they are.

    Positive and negative share one control object for each chain, or the sampler could not batch them together.
    Raises ValueError for a start after the end, a missing VAE, or a hint that is not a picture.
    """
    if unit.control is None:
        raise ValueError(
            "No ControlNet arrives at Apply ControlNet: the node that loads it gave nothing. Load the file with Load "
            "ControlNet (ZeroConv), which says what is wrong with it."
        )
    if unit.strength == 0:
        return positive, negative
    if unit.start > unit.end:
        raise ValueError(
            f"start_percent ({unit.start:g}) is after end_percent ({unit.end:g}): the control would never act. "
            "Lower start_percent or raise end_percent."
        )
    if getattr(unit.control, "latent_format", None) is not None and unit.vae is None:
        raise ValueError("This ControlNet sees the hint through the model's VAE. Wire the VAE to Apply ControlNet.")
    hint = as_rgb_hint(unit.image.movedim(-1, 1))
    chained: dict[Any, Any] = {}

    def attach(conditioning: Conditioning, prompt: str) -> Conditioning:
        attached = []
        for embeddings, settings in conditioning:
            previous = settings.get("control")
            if previous not in chained:
                control = with_unit_factors(unit.control, unit)
                control.set_cond_hint(hint, unit.strength, (unit.start, unit.end), vae=unit.vae)
                chained[previous] = control.set_previous_controlnet(previous)
            control_settings = {
                "control": chained[previous],
                "control_apply_to_uncond": False,
                PROMPT_KEY: settings.get(PROMPT_KEY, prompt),
            }
            attached.append([embeddings, {**settings, **control_settings}])
        return attached

    return attach(positive, POSITIVE), attach(negative, NEGATIVE)


def with_unit_factors(control: Any, unit: Unit) -> Any:
    """A copy of the control with the mask, schedule and weights of the unit, beside what it has already.

    Raises ValueError when it is to have one of them and is another pack's, which has no such factors.
    """
    factors = {
        "mask": None if unit.mask is None else Mask(unit.mask),
        "schedule": unit.schedule,
        "block_weights": unit.block_weights,
    }
    given = {name: factor for name, factor in factors.items() if factor is not None}
    if not given:
        return control.copy()
    what = ", ".join(given).replace("_", " ")
    return with_factors(control, what, lambda before: replace(before, **given))
