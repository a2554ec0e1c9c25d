"""Tells controls which region of the picture a pass of the base model is for.

The host hands a control the latent of the region only. Around the step the regions are known; they go to the controls
by the identities of the conditionings, which the host hands to every control.

Packs that sample in tiles tell nothing: they cut a control's hint. Tiled Diffusion and Tiled KSampler write the part of
a tile into `cond_hint`, Ultimate SD Upscale puts it in the place of `cond_hint_original`. What else lies over the
picture, a mask and the further hints of a union network, therefore travels in the same tensor as further channels, and
is cut with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ...controlnet.hint.region import Region
from ...controlnet.networks.union import UnionHint
from ...controlnet.strength.mask import Mask, resize_mask

REGIONS_OPTION = "zeroconv_regions"
ITEMS_OPTION = "zeroconv_items"
"""Pictures of the latent batch of the step, for passes that hold several tiles of each."""

COLORS = 3


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


@dataclass(frozen=True, eq=False)
class Layers:
    """All over the picture: a hint (B, 3, H, W), 0..1, a mask and further hints of a union network, or none."""

    hint: Tensor
    mask: Mask | None = None
    union_hints: tuple[UnionHint, ...] = ()

    @property
    def channels(self) -> int:
        return COLORS * (1 + len(self.union_hints)) + (self.mask is not None)

    def packed(self) -> Tensor:
        """All of it in one tensor (B, channels, H, W) at the hint's size; the hint itself where there is no more.

        Where the numbers of pictures do not fit together, it is the hint too.
        """
        size = (self.hint.shape[-2], self.hint.shape[-1])
        others = [
            nn.functional.interpolate(union_hint.hint.to(self.hint), size, mode="bilinear")
            for union_hint in self.union_hints
        ]
        if self.mask is not None:
            others.append(resize_mask(self.mask.values, size)[:, None].to(self.hint))
        count = max(layer.shape[0] for layer in (self.hint, *others))
        if not others or any(layer.shape[0] not in (1, count) for layer in (self.hint, *others)):
            return self.hint
        return torch.cat([layer.expand(count, -1, -1, -1) for layer in (self.hint, *others)], dim=1)

    def unpacked(self, tile: Tensor) -> "Layers":
        """The layers of a tile that another pack cut out of the packed ones, or put in their place.

        A tile of other channels is a hint alone: the mask and the further hints stay what they were.
        """
        if tile.shape[1] != self.channels or tile.shape[1] == COLORS:
            return replace(self, hint=tile[:, :COLORS])
        hint, *others = tile.float().split(COLORS, dim=1)
        mask = None if self.mask is None else Mask(tile[:, -1])
        hints = (replace(own, hint=part) for own, part in zip(self.union_hints, others, strict=False))
        return Layers(hint.to(tile), mask, tuple(hints))


def tile_count(x: Tensor, group_count: int, options: Mapping[str, Any]) -> int:
    """How many tiles of the picture a pass holds, one after the other, each with all groups and pictures.

    Tiled Diffusion samples several at once. x: (rows, ...) latents.
    """
    rows = group_count * options.get(ITEMS_OPTION, x.shape[0])
    return x.shape[0] // rows if x.shape[0] > rows and x.shape[0] % rows == 0 else 1
