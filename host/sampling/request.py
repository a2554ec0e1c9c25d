"""The request to one control at one step: which rows there are, which of them it acts on, and how strongly."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ...controlnet.hint.region import Region
from ...controlnet.strength.factors import StepRows
from ..compat import anchor_frames, video_length
from .prompts import read_negative
from .regions import tile_count
from .step import Step


@dataclass(frozen=True, eq=False)
class FrameWindow:
    """The frames of a video that are sampled together. frames: their numbers. total: of the whole video, if known."""

    frames: tuple[int, ...]
    total: int | None


@dataclass(frozen=True, eq=False)
class StepRequest:
    """The request to one control at one step.

    x: (rows, ...) latents, t: (rows,) sigmas, cond: the host's conditioning, all with every row of the step. strength:
    of the control at this step, 0 outside its range. needed: how many residuals, from the shallowest on.
    active_groups, active_items: the rows it acts on; the others get no control. regions: of every group of rows, where
    the control takes the part of the hint that lies there; empty where the whole hint is laid over what the rows show.
    hint_for_each_row: whether another pack gave a hint for each row. union_types: kinds of all hints of a union
    network. extra_args: what other nodes set for the host's networks. model_sampling: the base model's, which says how
    its network takes noise levels and latents.
    """

    step: Step
    x: Tensor
    t: Tensor
    cond: dict[str, Any]
    rows: StepRows
    strength: float
    needed: int
    active_groups: tuple[int, ...]
    active_items: tuple[int, ...]
    regions: tuple[Region, ...] = ()
    hint_for_each_row: bool = False
    union_types: tuple[int, ...] = ()
    extra_args: Mapping[str, Any] = field(default_factory=dict)
    model_sampling: Any = None

    @property
    def is_active(self) -> bool:
        return self.strength != 0 and self.needed > 0 and bool(self.active_groups)

    @property
    def shared(self) -> bool:
        """Whether all groups of rows hold the same noise and see the same hint."""
        return self.step.shared and not self.hint_for_each_row and len(set(self.regions)) <= 1

    @property
    def row_count(self) -> int:
        return self.x.shape[0]

    @property
    def latent_size(self) -> tuple[int, int]:
        """Height and width of the latent."""
        return self.x.shape[-2], self.x.shape[-1]

    @property
    def latent_frames(self) -> int:
        """Frames along the time of the latent, of which a window may be sampled; 1 for pictures."""
        window = self.film_window
        return latent_frames(self.x) if window is None or window.total is None else window.total

    @cached_property
    def film_window(self) -> FrameWindow | None:
        """The frames along the time of the latent that are sampled together, where those are not all."""
        return _film_window(self.step.options)

    def window_of(self, film: Tensor) -> Tensor:
        """The frames of a film's latent, (B, C, frames, h, w), that are sampled together."""
        window = self.film_window
        if window is None or film.shape[2] != window.total:
            return film
        return film.index_select(2, self.step.kept.constants.get(window.frames, torch.int64, film.device))

    @cached_property
    def active_rows(self) -> tuple[int, ...] | None:
        """Indices of the rows it acts on, group after group; None when those are all."""
        active = tuple(g * self.rows.item_count + i for g in self.active_groups for i in self.active_items)
        return None if len(active) == self.row_count else active

    def select(self, values: Tensor) -> Tensor:
        """The active rows of values for every row; not to be changed."""
        return values if self.active_rows is None else self.step.kept.constants.rows(values, self.active_rows)

    def condition(self, value: Tensor) -> Tensor:
        """A tensor of the host's conditioning, which it may hand over on the CPU, on the device."""
        return self.step.kept.copies.get(value, self.x.device)


def read_rows(x: Tensor, group_count: int, options: dict[str, Any], window: FrameWindow | None) -> StepRows:
    """The rows x of a step in so many groups.

    options: the host's `transformer_options`. window: of a pack that samples a video in parts of its own.
    """
    window = _window_of_host(options) or window
    frames, total = (None, None) if window is None else (window.frames, window.total)
    tiles = tile_count(x, group_count, options)
    return StepRows(read_negative(options, group_count) * tiles, x.shape[0] // (group_count * tiles), frames, total)


def _window_of_host(options: dict[str, Any]) -> FrameWindow | None:
    window = options.get("context_window")
    if window is None or window.dim != 0:
        return None
    return FrameWindow(tuple(window.index_list), video_length(window))


def latent_frames(latent: Tensor) -> int:
    """Frames along the time of a latent, (rows, C, frames, h, w); 1 for pictures, (rows, C, h, w)."""
    return latent.shape[2] if latent.dim() == 5 else 1


FILM_TIME = 2
"""The dimension of time in a latent of videos."""


def _film_window(options: dict[str, Any]) -> FrameWindow | None:
    """None also on hosts that do not tell how long the whole video is (0.3.75): its windows cannot be placed there."""
    window = options.get("context_window")
    if window is None or window.dim != FILM_TIME:
        return None
    total = video_length(window)
    return None if total is None else FrameWindow((*anchor_frames(window), *window.index_list), total)


def active_rows(factors: tuple[float, ...] | None, rows: StepRows) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Groups and items of which any row has a factor but zero."""
    groups, items = range(len(rows.negative)), range(rows.item_count)
    if factors is None:
        return tuple(groups), tuple(items)
    acts = torch.tensor(factors).view(len(groups), len(items)) != 0
    return (
        tuple(g for g in groups if acts[g].any()),
        tuple(i for i in items if acts[:, i].any()),
    )
