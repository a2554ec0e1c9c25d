"""What a network is asked for at one step: which rows there are, and which of them count."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...controlnet.hint.region import Region
from ...controlnet.strength.factors import StepRows
from .step import Step


@dataclass(frozen=True)
class StepRequest:
    """What a network is asked for at one step.

    x: (rows, ...) latents, t: (rows,) sigmas, cond: the host's conditioning, all with every row of the step.
    groups, pictures: which of them count; the others get no control. regions: of every group of rows, where the control
    takes its own part of the hint; empty where the whole hint is laid over what the rows show.
    """

    step: Step
    x: Tensor
    t: Tensor
    cond: dict[str, Any]
    rows: StepRows
    groups: tuple[int, ...]
    pictures: tuple[int, ...]
    options: dict[str, Any]
    regions: tuple[Region, ...] = ()

    @property
    def kept(self) -> tuple[int, ...] | None:
        """Indices of the rows that count, group after group; None when all do."""
        kept = tuple(g * self.rows.item_count + p for g in self.groups for p in self.pictures)
        return None if len(kept) == self.x.shape[0] else kept

    def select(self, values: Tensor) -> Tensor:
        """The rows that count."""
        return values if self.kept is None else values[list(self.kept)]


def read_rows(x: Tensor, groups: int, options: dict[str, Any]) -> StepRows:
    """The rows x of a step in so many groups. options: the host's `transformer_options`."""
    negative = tuple(mark == 1 for mark in options.get("cond_or_uncond") or (0,) * groups)
    window = options.get("context_window")
    if window is None or window.dim != 0:
        return StepRows(negative, x.shape[0] // groups)
    # Only newer hosts tell how long the whole video is.
    total = getattr(window, "total_frames", 0) or None
    return StepRows(negative, x.shape[0] // groups, tuple(window.index_list), total)


def acting(factors: tuple[float, ...] | None, rows: StepRows) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Groups and pictures of which any row has a factor but zero."""
    groups, pictures = range(len(rows.negative)), range(rows.item_count)
    if factors is None:
        return tuple(groups), tuple(pictures)
    acts = torch.tensor(factors).view(len(groups), len(pictures)) != 0
    return (
        tuple(g for g in groups if acts[g].any()),
        tuple(p for p in pictures if acts[:, p].any()),
    )
