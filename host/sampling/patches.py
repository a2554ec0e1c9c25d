"""Patches that controls put into the base model's run for one step, in place of residuals."""

from typing import Any


class ControlPatch:
    """Something that the host calls inside the base model, and that a control of ours put there."""


def add_patch(options: dict[str, Any], place: str, patch: ControlPatch) -> None:
    """Add a patch to a step's options: ours in the order of the chain, and before those of other packs.

    Those may change the number of tokens. place: the host's name of it (`attn1_patch`, `double_block` ...).
    """
    patches = dict(options.get("patches") or {})
    before = patches.get(place, [])
    ours = [other for other in before if isinstance(other, ControlPatch)]
    others = [other for other in before if not isinstance(other, ControlPatch)]
    patches[place] = [*ours, patch, *others]
    options["patches"] = patches
