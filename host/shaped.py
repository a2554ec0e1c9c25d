"""What all controls of ours share inside the host: their place in a chain, and how much, where and when they act.

The contract is `comfy.controlnet.ControlBase` (ComfyUI 0.3.75): set_cond_hint, pre_run, get_control, cleanup, copy.
Core never calls `cleanup` when a run fails or is cancelled, so `pre_run` resets as well.
"""

import functools
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from comfy.controlnet import ControlBase
from torch import Tensor

from ..controlnet.batch import HintOrder
from ..controlnet.fit import Fit
from ..controlnet.influence import Influence, Rows
from ..controlnet.progress import Progress
from ..controlnet.residuals import Residuals
from ..controlnet.scaling import scale_residuals, spread_rows
from .merge import Control, merge
from .step import STEP_OPTION, Step, StepReader


@dataclass(frozen=True)
class Evaluation:
    """What a network is asked for at one step.

    x: (rows, ...) latents, t: (rows,) sigmas, cond: the host's conditioning, all with every row of the step.
    groups, pictures: which of them count; the others get no control.
    """

    step: Step
    x: Tensor
    t: Tensor
    cond: dict[str, Any]
    rows: Rows
    groups: tuple[int, ...]
    pictures: tuple[int, ...]
    options: dict[str, Any]

    @property
    def kept(self) -> tuple[int, ...] | None:
        """Indices of the rows that count, group after group; None when all do."""
        kept = tuple(g * self.rows.pictures + p for g in self.groups for p in self.pictures)
        return None if len(kept) == self.x.shape[0] else kept

    def select(self, values: Tensor) -> Tensor:
        """The rows that count."""
        return values if self.kept is None else values[list(self.kept)]


class ShapedControl(ControlBase):
    """A control with its hint, strength, range and influence, and the controls before it in the chain."""

    name: str
    """What people know it by: the file."""
    residual_count: int
    """How many residuals the network gives, for weights over the depth."""
    output_count: int
    """How many of them go to the skips, `output`."""

    def __init__(self) -> None:
        super().__init__()
        self.influence = Influence()
        self.fit = Fit()
        self.hint_order: HintOrder = "one each"
        self._steps = StepReader()
        self._percent_to_sigma: Callable[[float], float] = float
        self._progress: Progress | None = None

    def copy_to(self, c: "ShapedControl") -> None:
        super().copy_to(c)
        c.influence, c.fit, c.hint_order = self.influence, self.fit, self.hint_order

    def pre_run(self, model: Any, percent_to_timestep_function: Callable[[float], float]) -> None:
        # Kept, since the host's function reads a value from the device, which would stop every step.
        percent_to_sigma = functools.cache(percent_to_timestep_function)
        super().pre_run(model, percent_to_sigma)
        self.forget()
        self._percent_to_sigma = percent_to_sigma

    def cleanup(self) -> None:
        super().cleanup()
        self.forget()

    def forget(self) -> None:
        """Let go of all that belongs to one sampling."""
        self._steps.clear()
        self._progress = None

    @abstractmethod
    def evaluate(self, evaluation: Evaluation, needed: int) -> Residuals:
        """Residuals of the rows that count; those behind the first `needed` in depth may be left out."""

    def get_control(
        self, x_noisy: Tensor, t: Tensor, cond: dict[str, Any], batched_number: int, transformer_options: dict[str, Any]
    ) -> Control | None:
        """Residuals of this control and of those before it; None when none acts at this step."""
        step = transformer_options.get(STEP_OPTION) or self._steps.read(x_noisy, t, cond, batched_number)
        previous = None
        if self.previous_controlnet is not None:
            options = {**transformer_options, STEP_OPTION: step}
            previous = self.previous_controlnet.get_control(x_noisy, t, cond, batched_number, options)
        strength = self._strength(step, transformer_options)
        rows = _rows(x_noisy, batched_number, transformer_options)
        factors = self.influence.rows(rows)
        groups, pictures = _acting(factors, rows)
        needed = self.influence.needed(self.residual_count)
        if strength == 0 or not groups or not needed:
            return previous
        evaluation = Evaluation(step, x_noisy, t, cond, rows, groups, pictures, transformer_options)
        residuals = self.evaluate(evaluation, needed)
        if evaluation.kept is not None:
            residuals = spread_rows(residuals, evaluation.kept, x_noisy.shape[0])
        if self.global_average_pooling:
            residuals = residuals.map(_pool)
        size = (x_noisy.shape[-2], x_noisy.shape[-1])
        scales = self.influence.scales(strength, self.residual_count, rows, size, self.hint_order)
        if scales.blocks is not None:
            scales = replace(scales, blocks=scales.blocks[: residuals.count])
        return merge(scale_residuals(residuals, scales), previous, self.output_count)

    def _strength(self, step: Step, options: dict[str, Any]) -> float:
        """The strength at this step; 0 outside the range."""
        if self.strength == 0 or self.influence.is_zero:
            return 0.0
        if self._progress is None:
            sigmas = options.get("sample_sigmas")
            levels = tuple(sigmas.tolist()) if sigmas is not None and self.influence.counts_steps else ()
            self._progress = Progress(levels, self._percent_to_sigma)
        start, end = self.timestep_percent_range
        return self.strength * self.influence.step_factor(self._progress, step.sigma, start, end)


def _rows(x: Tensor, groups: int, options: dict[str, Any]) -> Rows:
    sides = tuple(options.get("cond_or_uncond") or (0,) * groups)
    window = options.get("context_window")
    if window is None or window.dim != 0:
        return Rows(sides, x.shape[0] // groups)
    # Only newer hosts tell how long the whole video is.
    total = getattr(window, "total_frames", 0) or None
    return Rows(sides, x.shape[0] // groups, tuple(window.index_list), total)


def _acting(factors: tuple[float, ...] | None, rows: Rows) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Groups and pictures of which any row has a factor but zero."""
    groups, pictures = range(len(rows.groups)), range(rows.pictures)
    if factors is None:
        return tuple(groups), tuple(pictures)
    acts = torch.tensor(factors).view(len(groups), len(pictures)) != 0
    return (
        tuple(g for g in groups if acts[g].any()),
        tuple(p for p in pictures if acts[:, p].any()),
    )


def _pool(residual: Tensor) -> Tensor:
    """Every point gets the mean of its picture (the shuffle ControlNet of v1.1)."""
    return residual.mean(dim=(2, 3), keepdim=True).expand_as(residual).contiguous()
