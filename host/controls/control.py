"""What all controls of ours share inside the host: their place in a chain, and how much, where and when they act.

The contract is `comfy.controlnet.ControlBase` (ComfyUI 0.3.75): set_cond_hint, pre_run, get_control, cleanup, copy.
Core never calls `cleanup` when a run fails or is cancelled, so `pre_run` resets as well.
"""

import functools
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from comfy.controlnet import ControlBase
from torch import Tensor

from ...controlnet.caching.run_interval import RunInterval
from ...controlnet.caching.tensor_cache import RunCache
from ...controlnet.hint.fit import Fit
from ...controlnet.hint.order import HintOrder, hint_indices
from ...controlnet.report.record import Record
from ...controlnet.residuals import Residuals
from ...controlnet.strength.factors import StepRows, StrengthFactors
from ...controlnet.strength.scaling import Scales, scale_residuals, spread_rows
from ...controlnet.strength.timeline import SamplingTimeline
from ..sampling.chain_sum import Places, merge
from ..sampling.cleanup import when_sampling_ends
from ..sampling.lazy_residuals import PARTS, Control, known_length, pending
from ..sampling.regions import read_regions
from ..sampling.request import StepRequest, acting, read_rows
from ..sampling.step import STEP_OPTION, Step, StepReader
from ..sampling.step_wrapper import of_conditionings, step_hooks


class ShapedControl(ControlBase):
    """A control with its hint, strength, range and factors, and the controls before it in the chain."""

    name: str
    """What people know it by: the file."""
    residual_count: int
    """How many residuals the network gives, for weights over the depth."""
    output_count: int
    """How many of them go to the skips, `output`."""
    supports_regions = False
    """Whether `evaluate` heeds `StepRequest.regions`."""
    acts_at_once = False
    """Whether it changes the step's options, which the base model reads, and so cannot wait."""
    takes_frames = False
    """Whether its hints are for some frames of a video, `frames`, and its network sees all of them together."""
    rounds_as_host = False
    """Whether to round after scaling and after adding, as the host does, and not only once."""
    divisible = True
    """Whether it can be asked for a part of a step's rows, and acts on no others then."""

    def __init__(self) -> None:
        super().__init__()
        self.extra_hooks = step_hooks()
        self.factors = StrengthFactors()
        self.fit = Fit()
        self.hint_order: HintOrder = "one each"
        self.frames: tuple[int, ...] = ()
        """Of a video: the frame of each hint; none: evenly spread."""
        self.own_region = False
        """Whether a region of the picture gets the part of the hint that lies there, and not all of it."""
        self.run_interval: RunInterval | None = None
        self.measured = False
        """Whether to take the sizes of what it adds; they are in `record` after a sampling."""
        self.record = Record()
        self._kept_runs = RunCache()
        self._steps = StepReader()
        self._percent_to_sigma: Callable[[float], float] = float
        self._progress: SamplingTimeline | None = None

    def copy_to(self, c: "ShapedControl") -> None:
        super().copy_to(c)
        c.factors, c.fit, c.hint_order = self.factors, self.fit, self.hint_order
        c.own_region, c.run_interval, c.measured, c.frames = (
            self.own_region,
            self.run_interval,
            self.measured,
            self.frames,
        )

    def get_extra_hooks(self) -> list[Any]:
        return of_conditionings(super().get_extra_hooks())

    def pre_run(self, model: Any, percent_to_timestep_function: Callable[[float], float]) -> None:
        # Kept, since the host's function reads a value from the device, which would stop every step.
        percent_to_sigma = functools.cache(percent_to_timestep_function)
        super().pre_run(model, percent_to_sigma)
        self.forget()
        self.record = Record(self.measured)
        self._percent_to_sigma = percent_to_sigma
        when_sampling_ends(model, f"zeroconv {id(self)}", self.forget)

    def cleanup(self) -> None:
        super().cleanup()
        self.forget()

    def forget(self) -> None:
        """Let go of all that belongs to one sampling."""
        self._steps.clear()
        self._kept_runs.clear()
        self._progress = None

    def given_out(self, hints: int, rows: StepRows) -> tuple[int, ...]:
        """Index of the hint of each picture, or NO_HINT. Raises ValueError when the numbers do not fit."""
        return hint_indices(hints, rows.item_count, self.hint_order, rows.window)

    @abstractmethod
    def evaluate(self, request: StepRequest, needed: int) -> Residuals:
        """Residuals of the rows that count; those behind the first `needed` in depth may be left out."""

    def announce(self, request: StepRequest, needed: int) -> None:
        """Called when `evaluate` will be, before the chain's other controls are evaluated."""

    def get_control(
        self, x_noisy: Tensor, t: Tensor, cond: dict[str, Any], batched_number: int, transformer_options: dict[str, Any]
    ) -> Control | None:
        """Residuals of this control and of those before it, computed when one is taken; None when none acts."""
        step = transformer_options.get(STEP_OPTION) or self._steps.read(x_noisy, t, cond, batched_number)
        previous = None
        if self.previous_controlnet is not None:
            options = {**transformer_options, STEP_OPTION: step}
            previous = self.previous_controlnet.get_control(x_noisy, t, cond, batched_number, options)
            if "patches" in options:  # of a control that acts on the attention: the host reads its own dictionary
                transformer_options["patches"] = options["patches"]
        strength = self._strength(step, transformer_options)
        rows = read_rows(x_noisy, batched_number, transformer_options)
        factors = self.factors.rows(rows)
        groups, pictures = acting(factors, rows)
        if self.takes_frames:
            pictures = tuple(range(rows.item_count))
        needed = self.factors.needed(self.residual_count)
        if strength == 0 or not groups or not needed:
            return previous
        regions = read_regions(x_noisy, transformer_options) if self.own_region else ()
        if len(set(regions)) > 1:  # equal noise, but other hints
            step = replace(step, shared=False)
        # A copy, since the base model writes into the options as it goes; who acts at once writes for it to read.
        options = transformer_options if self.acts_at_once else dict(transformer_options)
        request = StepRequest(step, x_noisy, t, cond, rows, groups, pictures, options, regions)

        def act() -> Control:
            return self._act(request, needed, strength, previous)

        if self.acts_at_once:
            return act()
        if self.run_interval is None:  # which may let the network rest
            self.announce(request, needed)
        return pending(act, self._lengths(needed, previous))

    def _act(self, request: StepRequest, needed: int, strength: float, previous: Control | None) -> Control:
        """Residuals of all rows with all factors in them, and those of the controls before."""
        x, rows, step = request.x, request.rows, request.step
        residuals, ran = self._evaluate_or_keep(request, needed)
        if request.kept is not None:
            residuals = spread_rows(residuals, request.kept, x.shape[0])
        if self.global_average_pooling:
            residuals = residuals.map(_pool)
        size = (x.shape[-2], x.shape[-1])
        scales = self.factors.scales(strength, self.residual_count, rows, size, self.hint_order)
        if scales.blocks is not None:
            scales = replace(scales, blocks=scales.blocks[: residuals.count])
        scales = scales.in_regions(request.regions)
        # Sizes are those of its own part alone; a copy, so that measuring changes no rounding.
        own = scale_residuals(residuals.copy(), scales) if self.measured else residuals
        self.record.note(step.sigma, ran, own)
        if self.rounds_as_host:
            residuals, scales = scale_residuals(residuals, scales), Scales()
        return merge(residuals, scales, self.places(), previous)

    def _lengths(self, needed: int, previous: Control | None) -> dict[str, int | None]:
        """How long the lists will be; None where only the network tells."""
        if not self.output_count:
            return dict.fromkeys(PARTS)
        own = {"input": 0, "middle": max(0, needed - self.output_count), "output": self.output_count}
        before = {part: known_length(previous, part) for part in PARTS}
        return {part: None if (length := before[part]) is None else max(own[part], length) for part in PARTS}

    def places(self) -> Places:
        """Where the host's model looks for the residuals of the last request."""
        middle = self.residual_count - self.output_count
        return {
            "input": ((), 0),
            "output": (range(self.output_count), self.output_count),
            "middle": (range(middle), 0),
        }

    def _evaluate_or_keep(self, request: StepRequest, needed: int) -> tuple[Residuals, bool]:
        """Residuals to change at will, and whether the network ran for them or `run_interval` let it rest."""
        if self.run_interval is None or self._progress is None:
            return self.evaluate(request, needed), True
        rows, options = request.rows, request.options
        conditions = tuple(options.get("uuids") or rows.negative)
        key = (request.x.shape, request.kept, conditions, rows.window, needed)
        step = request.step
        return self._kept_runs.residuals(
            key, self._progress.step(step.sigma), self.run_interval, lambda: self.evaluate(request, needed), step.later
        )

    def _strength(self, step: Step, options: dict[str, Any]) -> float:
        """The strength at this step; 0 outside the range."""
        if self.strength == 0 or self.factors.is_zero:
            return 0.0
        if self._progress is None:
            sigmas = options.get("sample_sigmas")
            counts = self.factors.counts_steps or self.run_interval is not None
            levels = tuple(sigmas.tolist()) if sigmas is not None and counts else ()
            self._progress = SamplingTimeline(levels, self._percent_to_sigma)
        start, end = self.timestep_percent_range
        return self.strength * self.factors.step_factor(self._progress, step.sigma, start, end)


def _pool(residual: Tensor) -> Tensor:
    """Every point gets the mean of its picture (the shuffle ControlNet of v1.1)."""
    return residual.mean(dim=(2, 3), keepdim=True).expand_as(residual).contiguous()
