"""Advanced-ControlNet's Apply nodes: a control for each part of the sampling in which its keyframes stay the same."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ....controlnet.strength.control_mode import CfgWeights
from ....host.conditioning import Conditioning, Unit, apply_unit
from ....host.settings import with_factors
from ..keyframes import Part, parts_of
from ..row import Replacement, image, socket
from .rows import BOTH, ONE, SINGLE_STEPS, STRENGTH_AND_RANGE, optional, row

MASKED = "A mask is averaged over each point of a residual, where the pack reads it at the point's center. "


@dataclass(frozen=True, eq=False)
class WithVae:
    """The hint of an RGB SparseCtrl, for Apply only: that node has no socket for the VAE that the hint goes through."""

    image: Tensor
    vae: Any


def parted(control: Any, part: Part, mask: Tensor | None) -> Any:
    """The control with the factors of a part of the sampling, and the mask of Apply."""
    factors: dict[str, Any] = {"schedule": part.schedule, "items": part.items}
    if part.weights is not None:
        factors["block_weights"] = part.weights.blocks
        factors["cfg_weights"] = CfgWeights(1, part.weights.negative) if part.weights.negative != 1 else None
    given = {name: factor for name, factor in factors.items() if factor is not None}
    return with_factors(control, "keyframe", lambda before: replace(before, **given)) if given else control


def _product(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    """Both masks (B, H, W) at once, at the size of the first."""
    if one is None or other is None:
        return other if one is None else one
    one, other = (mask[None] if mask.ndim == 2 else mask for mask in (one, other))
    fitted = torch.nn.functional.interpolate(other[:, None], one.shape[-2:], mode="bilinear")[:, 0]
    return one * fitted


def _apply(positive: Conditioning, negative: Conditioning, values: dict[str, Any]) -> tuple[Conditioning, Conditioning]:
    hint, vae = values["image"], values["vae_optional"]
    if isinstance(hint, WithVae):
        hint, vae = hint.image, vae or hint.vae
    parts = parts_of(values["timestep_kf"], values["latent_kf_override"], values["weights_override"])
    for part in parts:
        unit = Unit(
            parted(values["control_net"], part, values["mask_optional"]),
            hint,
            values["strength"],
            values["start_percent"],
            values["end_percent"],
            vae,
            _product(values["mask_optional"], part.mask),
            inpaint_mask=None if part.weights is None else part.weights.inpaint_mask,
        )
        positive, negative = apply_unit(unit, positive, negative)
    return positive, negative


def _apply_to_both(*, positive: Conditioning, negative: Conditioning, **values: Any) -> tuple[Any, ...]:
    given = _apply(positive, negative, values)
    return (*given, values["model_optional"]) if "model_optional" in values else given


def _apply_to_one(*, conditioning: Conditioning, **values: Any) -> tuple[Any, ...]:
    """The negative prompt gets the control too, as the pack wants it."""
    controlled, _ = _apply(conditioning, [], values)
    shared = [[embeddings, {**settings, "control_apply_to_uncond": True}] for embeddings, settings in controlled]
    return (shared if values["strength"] else conditioning), values.get("model_optional")


CONTROL_AND_IMAGE = (socket("control_net", "CONTROL_NET"), image(), *STRENGTH_AND_RANGE)
PROMPTS = (socket("positive", "CONDITIONING"), socket("negative", "CONDITIONING"))
PROMPT = (socket("conditioning", "CONDITIONING"),)
REFINED = (
    optional("mask_optional", "MASK"),
    optional("timestep_kf", "TIMESTEP_KEYFRAME"),
    optional("latent_kf_override", "LATENT_KEYFRAME"),
    optional("weights_override", "CONTROL_NET_WEIGHTS"),
)
VAE, MODEL = optional("vae_optional", "VAE"), optional("model_optional", "MODEL")

_SAME = ("positive", "negative", "control_net", "image", "strength", "start_percent", "end_percent")
TO_APPLY = Replacement(
    "ZeroConvApply", {**{name: name for name in _SAME}, "mask": "mask_optional", "vae": "vae_optional"}, outputs=(0, 1)
)

APPLIERS = (
    row("ACN_AdvancedControlNetApply_v2", "Apply Advanced ControlNet", (*PROMPTS, *CONTROL_AND_IMAGE, *REFINED, VAE),
         BOTH, _apply_to_both, replacement=TO_APPLY, difference=MASKED + SINGLE_STEPS),
    row("ACN_AdvancedControlNetApplySingle_v2", "Apply Advanced ControlNet(1)",
         (*PROMPT, *CONTROL_AND_IMAGE, *REFINED, VAE), ONE, _apply_to_one, difference=MASKED + SINGLE_STEPS),
    row("ACN_AdvancedControlNetApply", "Apply Advanced ControlNet",
         (*PROMPTS, *CONTROL_AND_IMAGE, *REFINED, MODEL, VAE), (*BOTH, ("MODEL", "model_opt")), _apply_to_both,
         replacement=TO_APPLY, difference=MASKED + SINGLE_STEPS),
    row("ACN_AdvancedControlNetApplySingle", "Apply Advanced ControlNet(1)",
         (*PROMPT, *CONTROL_AND_IMAGE, *REFINED, MODEL, VAE), ONE, _apply_to_one, difference=MASKED + SINGLE_STEPS),
)  # fmt: skip
