"""What Advanced-ControlNet's Apply nodes call on a control whose frames can be set (`sub_idxs`), as their own can.

After `set_cond_hint` they call the methods below, and write the overrides that are wired. Its mask is as ours; its
keyframes and weights are objects of that pack, which have counterparts here and are refused by name.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from ...controlnet.strength.mask import Mask
from .control_settings import ControlSettings


class AdvancedApply:
    """The part of a control that those nodes speak to."""

    settings: ControlSettings
    require_vae = False
    """Whether their node has to ask for a VAE: a control that needs one says so itself."""
    allow_condhint_latents = False
    """Whether hints may be latents of their preprocessors."""
    postpone_condhint_latents_check = False
    timestep_keyframes: Any = None
    latent_keyframe_override: Any = None
    weights_override: Any = None

    @property
    def name(self) -> str:
        """The file's, for messages."""
        raise NotImplementedError

    def disarm(self) -> None:
        """Told that their Apply node is in use, which some of their controls insist on."""

    def set_timestep_keyframes(self, keyframes: Any) -> None:
        self.timestep_keyframes = keyframes

    def verify_all_weights(self, throw_error: bool = True) -> None:
        """Called when all is wired. Raises ValueError for what only their controls understand."""
        counterparts = {
            "timestep_kf": (self.timestep_keyframes, "Strength Schedule"),
            "latent_kf_override": (self.latent_keyframe_override, "Strength per Item"),
            "weights_override": (self.weights_override, "Block Weights"),
        }
        for wire, (given, node) in counterparts.items():
            if given is not None and throw_error:
                raise ValueError(
                    f"'{self.name}' comes from ControlNet Load, which does not know Advanced-ControlNet's "
                    f"{wire}. Remove that wire and set the control up with *{node}* (ZeroConv), or load the file with "
                    "Advanced-ControlNet's own loader."
                )

    def set_cond_hint_mask(self, mask: Tensor) -> AdvancedApply:
        """mask: (B, H, W), 0..1, as wired to `mask_optional`; it takes the place of an earlier one."""
        factors = replace(self.settings.factors, mask=Mask(mask)).simplified()
        self.settings = replace(self.settings, factors=factors)
        return self
