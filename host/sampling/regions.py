"""Tells controls which area of the picture a call of the model is for.

The host hands a control the latent of the area only. Around the step the areas are known; they go to the controls by
the identities of the conditionings, which the host hands to every control.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ...controlnet.hint.region import Area

AREAS_OPTION = "zeroconv_areas"


@dataclass(frozen=True)
class Areas:
    """whole: height and width of the latent. corners: (top, left) of the conditionings that have an area."""

    whole: tuple[int, int]
    corners: Mapping[Any, tuple[int, int]]


def tell_areas(conds: Sequence[Any], x: Tensor, options: dict[str, Any]) -> dict[str, Any]:
    """The model's options, with the areas of the step's conditionings for the controls to see.

    x: the whole latent.
    """
    entries = [entry for side in conds if side is not None for entry in side if "area" in entry]
    if not entries:
        return options
    # An area lists sizes and then offsets, for each dimension of the latent; height and width come last.
    corners = {entry["uuid"]: (entry["area"][-2], entry["area"][-1]) for entry in entries}
    areas = Areas((x.shape[-2], x.shape[-1]), corners)
    told = {**options.get("transformer_options", {}), AREAS_OPTION: areas}
    return {**options, "transformer_options": told}


def read_areas(x: Tensor, options: Mapping[str, Any]) -> tuple[Area, ...]:
    """The area of each group of rows x; none when all see the whole picture."""
    areas, identities = options.get(AREAS_OPTION), options.get("uuids")
    size = (x.shape[-2], x.shape[-1])
    if areas is None or not identities or size == areas.whole:
        return ()
    corners = [areas.corners.get(identity, (0, 0)) for identity in identities]
    return tuple(Area(top, left, size, areas.whole) for top, left in corners)
