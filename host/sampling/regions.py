"""Tells controls which region of the picture a pass of the base model is for.

The host hands a control the latent of the region only. Around the step the regions are known; they go to the controls
by the identities of the conditionings, which the host hands to every control.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ...controlnet.hint.region import Region

REGIONS_OPTION = "zeroconv_regions"


@dataclass(frozen=True)
class Regions:
    """whole: height and width of the latent. corners: (top, left) of the conditionings that have an area."""

    whole: tuple[int, int]
    corners: Mapping[Any, tuple[int, int]]


def regions_of(conds: Sequence[Any], x: Tensor) -> dict[str, Any]:
    """Options that tell the regions of a step's conditionings; none where all are for the whole picture.

    x: the whole latent.
    """
    entries = [entry for prompt in conds if prompt is not None for entry in prompt if "area" in entry]
    if not entries:
        return {}
    # An area lists sizes and then offsets, for each dimension of the latent; height and width come last.
    corners = {entry["uuid"]: (entry["area"][-2], entry["area"][-1]) for entry in entries}
    return {REGIONS_OPTION: Regions((x.shape[-2], x.shape[-1]), corners)}


def read_regions(x: Tensor, options: Mapping[str, Any]) -> tuple[Region, ...]:
    """The region of each group of rows x; none when all see the whole picture."""
    regions, identities = options.get(REGIONS_OPTION), options.get("uuids")
    size = (x.shape[-2], x.shape[-1])
    if regions is None or not identities or size == regions.whole:
        return ()
    corners = [regions.corners.get(identity, (0, 0)) for identity in identities]
    return tuple(Region(top, left, size, regions.whole) for top, left in corners)
