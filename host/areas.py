"""Tells controls which area of the picture a call of the model is for.

The host hands a control the latent of the area only. Whoever wraps the host's step sees the areas; a control may ask
for such a wrapper through its `extra_hooks`, and the host adds it for the sampling. The areas go to the control by the
identities of the conditionings, which the host hands to every control.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import comfy.hooks
import comfy.patcher_extension
from torch import Tensor

from ..controlnet.area import Area

AREAS_OPTION = "zeroconv_areas"


@dataclass(frozen=True)
class Areas:
    """whole: height and width of the latent. corners: (top, left) of the conditionings that have an area."""

    whole: tuple[int, int]
    corners: Mapping[Any, tuple[int, int]]


def areas_hooks() -> comfy.hooks.HookGroup:
    """For a control's `extra_hooks`."""
    kind = comfy.patcher_extension.WrappersMP.CALC_COND_BATCH
    group = comfy.hooks.HookGroup()
    group.add(comfy.hooks.TransformerOptionsHook({"wrappers": {kind: {AREAS_OPTION: [_tell_areas]}}}))
    return group


def _tell_areas(
    step: Callable[..., Any], model: Any, conds: list[Any], x: Tensor, timestep: Tensor, options: dict[str, Any]
) -> Any:
    """The host's step, with the areas of its conditionings in the options that controls see."""
    entries = [entry for side in conds if side is not None for entry in side if "area" in entry]
    # An area lists sizes and then offsets, for each dimension of the latent; height and width come last.
    corners = {entry["uuid"]: (entry["area"][-2], entry["area"][-1]) for entry in entries}
    areas = Areas((x.shape[-2], x.shape[-1]), corners)
    told = {**options.get("transformer_options", {}), AREAS_OPTION: areas}
    return step(model, conds, x, timestep, {**options, "transformer_options": told})


def read_areas(x: Tensor, options: Mapping[str, Any]) -> tuple[Area, ...]:
    """The area of each group of rows x; none when all see the whole picture, or no control asked."""
    areas, identities = options.get(AREAS_OPTION), options.get("uuids")
    size = (x.shape[-2], x.shape[-1])
    if areas is None or not identities or size == areas.whole:
        return ()
    corners = [areas.corners.get(identity, (0, 0)) for identity in identities]
    return tuple(Area(top, left, size, areas.whole) for top, left in corners)
