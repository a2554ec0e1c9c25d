"""What a network is asked for at one step: which rows there are, and which of them count."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...controlnet.hint.region import Area
from ...controlnet.strength.factors import Rows
from .step import Step


@dataclass(frozen=True)
class Evaluation:
    """What a network is asked for at one step.

    x: (rows, ...) latents, t: (rows,) sigmas, cond: the host's conditioning, all with every row of the step.
    groups, pictures: which of them count; the others get no control. areas: of every group of rows, where the control
    takes its own part of the hint; empty where the whole hint is laid over what the rows show.
    """

    step: Step
    x: Tensor
    t: Tensor
    cond: dict[str, Any]
    rows: Rows
    groups: tuple[int, ...]
    pictures: tuple[int, ...]
    options: dict[str, Any]
    areas: tuple[Area, ...] = ()

    @property
    def kept(self) -> tuple[int, ...] | None:
        """Indices of the rows that count, group after group; None when all do."""
        kept = tuple(g * self.rows.pictures + p for g in self.groups for p in self.pictures)
        return None if len(kept) == self.x.shape[0] else kept

    def select(self, values: Tensor) -> Tensor:
        """The rows that count."""
        return values if self.kept is None else values[list(self.kept)]


def read_rows(x: Tensor, groups: int, options: dict[str, Any]) -> Rows:
    """The rows x of a step in so many groups. options: the host's `transformer_options`."""
    sides = tuple(options.get("cond_or_uncond") or (0,) * groups)
    window = options.get("context_window")
    if window is None or window.dim != 0:
        return Rows(sides, x.shape[0] // groups)
    # Only newer hosts tell how long the whole video is.
    total = getattr(window, "total_frames", 0) or None
    return Rows(sides, x.shape[0] // groups, tuple(window.index_list), total)


def acting(factors: tuple[float, ...] | None, rows: Rows) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Groups and pictures of which any row has a factor but zero."""
    groups, pictures = range(len(rows.groups)), range(rows.pictures)
    if factors is None:
        return tuple(groups), tuple(pictures)
    acts = torch.tensor(factors).view(len(groups), len(pictures)) != 0
    return (
        tuple(g for g in groups if acts[g].any()),
        tuple(p for p in pictures if acts[:, p].any()),
    )
