"""The hint of a control: what Apply gave, what other packs cut out of it, and what its network gets at a step.

Packs that sample in tiles write the part of a tile into `cond_hint`, or in the place of `cond_hint_original`
(`../sampling/regions.py`); both are read anew at every step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from ...controlnet.caching.tensor_cache import TensorCache
from ...controlnet.constants import Constants
from ...controlnet.hint.fit import Fit
from ...controlnet.hint.order import hint_indices, spread_hints
from ...controlnet.hint.region import Region
from ...controlnet.strength.factors import StepRows
from ..sampling.regions import COLORS, Layers
from ..sampling.request import StepRequest, latent_frames
from .runner import HintView, PreparedHint, film_order

if TYPE_CHECKING:
    from .control import Control


class SeenHint(NamedTuple):
    """layers: the hint and all that lies over the picture. for_each_row: whether another pack gave one for each row."""

    layers: Layers
    for_each_row: bool


class ControlHint:
    """The hint that Apply gave to one control, and what was made of it in the sampling that goes on."""

    def __init__(self) -> None:
        self._layers: Layers | None = None
        self._packed: Tensor | None = None
        self._tiles: TensorCache[Layers] = TensorCache()
        self.prepared: TensorCache[PreparedHint] = TensorCache()
        """Hints as the network takes them, of the sampling that goes on."""

    def copy(self) -> ControlHint:
        """The same hint, with nothing made of it yet."""
        twin = ControlHint()
        twin._layers, twin._packed = self._layers, self._packed
        return twin

    def clear(self) -> None:
        """Let go of what was made for one sampling."""
        self.prepared.clear()
        self._tiles.clear()

    def image(self, control: Control) -> Tensor:
        """The hint that Apply gave, (B, 3, H, W), without the data that travels with it."""
        return control.cond_hint_original if self._layers is None else self._layers.hint

    def pack(self, image: Tensor, control: Control) -> Tensor:
        """The image of Apply with all that packs which cut hints are to cut with it."""
        self._layers = Layers(image, control.settings.factors.mask, control.settings.union_hints)
        # A VAE that another pack sends the hint through takes three channels only.
        self._packed = self._layers.packed() if control.latent_format is None else image
        return self._packed

    def pack_again(self, control: Control) -> None:
        """After a change of the control's mask, unless another pack has put its own hint in the place of ours."""
        if self._layers is not None and control.cond_hint_original is self._packed:
            control.cond_hint_original = self.pack(self._layers.hint, control)

    def seen(self, control: Control, size: tuple[int, int], row_count: int) -> SeenHint:
        """The hint over a latent of this size: all of it, or the part of a tile where another pack gave that."""
        if _fits(control.cond_hint, size, control):
            tile = control.cond_hint
        elif control.cond_hint_original is not self._packed:
            tile = control.cond_hint_original
        else:
            tile = None
        own = Layers(self.image(control), control.settings.factors.mask, control.settings.union_hints)
        if tile is None:
            return SeenHint(own, False)
        packed = own if tile.shape[1] == COLORS else self._layers or own
        layers = self._tiles.get(tile, None, lambda: packed.unpacked(tile))
        return SeenHint(layers, tile is control.cond_hint and tile.shape[0] == row_count)

    def for_step(self, control: Control, request: StepRequest) -> PreparedHint:
        """The hint as the network takes it: one row for all, one for each active item, or one for each active row."""
        if not request.regions:
            return self._in_region(control, None, request)
        parts = {region: self._in_region(control, region, request) for region in dict.fromkeys(request.regions)}
        if len(parts) == 1:
            return parts[request.regions[0]]
        item_count = len(request.active_items)
        groups = [parts[request.regions[group]] for group in request.active_groups]
        return tuple(
            torch.cat([part.expand(item_count, *part.shape[1:]) for part in parts])
            for parts in zip(*groups, strict=True)
        )

    def _in_region(self, control: Control, region: Region | None, request: StepRequest) -> PreparedHint:
        """The hint in a region, or all of it: one row, or one for each active item or row."""
        size = request.latent_size if region is None else region.whole
        layers, for_each_row = self.seen(control, size, request.row_count)
        image, runner = layers.hint, control.runner
        fit = Fit() if _fits(control.cond_hint, size, control) else control.settings.fit
        view = HintView(
            image,
            size,
            region,
            control.compression_ratio,
            fit,
            request.x.device,
            union_hints=layers.union_hints,
            union_types=request.union_types,
            preprocess=control.preprocess_image,
            vae=control.vae,
            masks=control.extra_concat_orig,
            inpaint=control.settings.inpaint,
            latent_frames=request.latent_frames,
        )
        token = (
            size,
            request.latent_frames,
            region,
            fit,
            request.x.dtype,
            runner.loaded.weights_state,
            request.union_types,
        )
        hint = self.prepared.get(image, token, lambda: runner.prepare_hint(view))
        if for_each_row:
            order = request.active_rows or tuple(range(request.row_count))
        else:
            indices = hint_index_per_item(control, image.shape[0], request.rows)
            order = tuple(indices[item] for item in request.active_items)
        return _choose(hint, order, request.step.kept.constants)


def hint_index_per_item(control: Control, hint_count: int, rows: StepRows) -> tuple[int, ...]:
    """Index of the hint of each item, or NO_HINT; a film is one hint. Raises ValueError when the numbers do not fit."""
    if control.runner.abilities.film:
        return (0,) * rows.item_count
    if control.runner.abilities.frames:
        total = rows.item_count if rows.window is None else rows.total
        return spread_hints(hint_count, rows.frames, total, control.settings.frames)
    return hint_indices(hint_count, rows.item_count, control.settings.hint_order, rows.window)


def hints_of_latent(control: Control, hint_count: int, latent: Tensor) -> tuple[int, ...]:
    """Index of the hint of each item of a latent, or NO_HINT; of each frame where the hints are a film."""
    if control.runner.abilities.film and control.vae is not None:
        return film_order(hint_count, latent_frames(latent), control.vae)
    return hint_index_per_item(control, hint_count, StepRows((False,), latent.shape[0]))


def _fits(hint: Tensor | None, size: tuple[int, int], control: Control) -> bool:
    """Whether a hint has the size at which the network sees such a latent, as core asks it of `cond_hint`."""
    ratio = control.compression_ratio
    return hint is not None and tuple(hint.shape[-2:]) == (size[0] * ratio, size[1] * ratio)


def _choose(hint: PreparedHint, order: tuple[int, ...], constants: Constants) -> PreparedHint:
    """The rows of a prepared hint in this order; a single hint stands for all."""
    count = hint[0].shape[0]
    if count == 1 or order == tuple(range(count)):
        return hint
    return tuple(constants.rows(tensor, [index % count for index in order]) for tensor in hint)
