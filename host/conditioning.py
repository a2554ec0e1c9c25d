"""Attach controls to ComfyUI's conditionings."""

from dataclasses import dataclass, replace
from typing import Any

import comfy.utils
from torch import Tensor

from ..controlnet.hint.image import as_rgb_hint
from ..controlnet.hint.inpaint import Inpaint, InpaintInput, check_inpaint
from ..controlnet.strength.block_weights import BlockWeights
from ..controlnet.strength.mask import Mask
from ..controlnet.strength.schedule import Schedule
from .controls.control import Control
from .sampling.prompts import NEGATIVE, POSITIVE, PROMPT_KEY
from .settings import with_factors

Conditioning = list[list[Any]]
"""ComfyUI's CONDITIONING: a list of [prompt embeddings, dictionary]."""


@dataclass(frozen=True)
class Unit:
    """One control with its settings.

    control: a `ControlBase` from our loader, core's or another pack's. image: BHWC, 0..1. strength: 0..10.
    start, end: 0..1, fractions of the timesteps. vae: a host VAE, for controls that see latents. mask: (B, H, W),
    0..1, where the control acts. schedule, block_weights: how much, over the steps and over the depth. inpaint_image,
    inpaint_mask: for inpainting networks, the picture to complete (BHWC, 0..1; None where `image` is it), and where it
    is to be painted anew: (B, H, W), 0..1.
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
    inpaint_image: Tensor | None = None
    inpaint_mask: Tensor | None = None

    @property
    def inpaint(self) -> Inpaint:
        """The input of an inpainting network."""
        picture = None if self.inpaint_image is None else as_rgb_hint(self.inpaint_image.movedim(-1, 1))
        mask = self.inpaint_mask
        return Inpaint(picture, None if mask is None else mask.reshape(-1, 1, *mask.shape[-2:]))


def apply_unit(unit: Unit, positive: Conditioning, negative: Conditioning) -> tuple[Conditioning, Conditioning]:
    """New conditionings with the control at the end of their chains; the given ones are left as they are.

    Positive and negative share one control object for each chain, or the sampler could not batch them together.
    Raises ValueError for a start after the end, a missing VAE, a hint that is not a picture, or inputs of inpainting
    that the network does not take, or needs and did not get.
    """
    if unit.control is None:
        raise ValueError(
            "No ControlNet arrives at ControlNet Apply: the node that loads it gave nothing. Load the file with Load "
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
        raise ValueError("This ControlNet sees the hint through the model's VAE. Wire the VAE to ControlNet Apply.")
    hint, beside = _inpainting(unit, as_rgb_hint(unit.image.movedim(-1, 1)))
    chained: dict[Any, Any] = {}

    def attach(conditioning: Conditioning, prompt: str) -> Conditioning:
        attached = []
        for embeddings, settings in conditioning:
            previous = settings.get("control")
            if previous not in chained:
                control = with_unit_settings(unit.control, unit)
                control.set_cond_hint(hint, unit.strength, (unit.start, unit.end), vae=unit.vae, **beside)
                chained[previous] = control.set_previous_controlnet(previous)
            control_settings = {
                "control": chained[previous],
                "control_apply_to_uncond": False,
                PROMPT_KEY: settings.get(PROMPT_KEY, prompt),
            }
            attached.append([embeddings, {**settings, **control_settings}])
        return attached

    return attach(positive, POSITIVE), attach(negative, NEGATIVE)


def _inpainting(unit: Unit, hint: Tensor) -> tuple[Tensor, dict[str, Any]]:
    """The hint as an inpainting network sees it, and what more `set_cond_hint` is given.

    Where the host hands the mask over, the hint is blackened as by its own `ControlNetInpaintingAliMamaApply`.
    """
    inpaint, takes, name = unit.inpaint, *_inpaint_input(unit.control)
    check_inpaint(inpaint, takes, name)
    hint = hint.expand(inpaint.count(hint.shape[0]), -1, -1, -1)
    if inpaint.kept is None or takes == "beside":
        return hint, {}
    if takes == "black hint":
        hole = comfy.utils.common_upscale(inpaint.kept, hint.shape[3], hint.shape[2], "bilinear", "center").round()
        hint = hint * hole
    return hint, {"extra_concat": [inpaint.kept]}


def _inpaint_input(control: Any) -> tuple[InpaintInput, str]:
    """How a control takes inputs of inpainting, and its name for messages."""
    if isinstance(control, Control):
        return control.runner.inpaint_input, control.name
    return "black hint" if getattr(control, "concat_mask", False) else "none", "This ControlNet"


def with_unit_settings(control: Any, unit: Unit) -> Any:
    """A copy of the control with the mask, schedule and weights of the unit, beside what it has already.

    Raises ValueError when it is to have one of them and is another pack's, which has no such factors.
    """
    factors = {
        "mask": None if unit.mask is None else Mask(unit.mask),
        "schedule": unit.schedule,
        "block_weights": unit.block_weights,
    }
    given = {name: factor for name, factor in factors.items() if factor is not None}
    if isinstance(control, Control) and control.runner.inpaint_input == "beside":
        control = control.with_settings(inpaint=unit.inpaint)
    if not given:
        return control.copy()
    what = ", ".join(given).replace("_", " ")
    return with_factors(control, what, lambda before: replace(before, **given))
