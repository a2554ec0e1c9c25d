"""One control at one step: how strongly it acts, what its network gives, and what the chain gives with that."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ...controlnet.residuals import PARTS, Residuals
from ...controlnet.strength.scaling import Scales, scale_residuals, spread_rows
from ..sampling.chain_sum import chain_sum
from ..sampling.lazy_residuals import HostResiduals, known_length
from ..sampling.patches import add_patch
from ..sampling.regions import read_regions
from ..sampling.request import FrameWindow, StepRequest, active_rows, read_rows
from ..sampling.skip_sizes import SkipSizes
from ..sampling.step import Step
from .runner import PatchRunner, PreparedHint, ResidualRunner

if TYPE_CHECKING:
    from .control import Control


def request_of(
    control: Control, step: Step, x: Tensor, t: Tensor, cond: dict[str, Any], group_count: int, options: dict[str, Any]
) -> StepRequest:
    """The request to the control's network at this step; arguments of the host's `get_control`."""
    factors, abilities = control.settings.factors, control.runner.abilities
    window = FrameWindow(tuple(control.sub_idxs), control.full_latent_length or None) if control.sub_idxs else None
    rows = read_rows(x, group_count, options, window)
    groups, items = active_rows(factors.rows(rows), rows)
    seen = control.hints.seen(control, (x.shape[-2], x.shape[-1]), x.shape[0])
    return StepRequest(
        step,
        x,
        t,
        cond,
        rows,
        strength=_strength(control, step),
        needed=factors.needed(abilities.residual_count),
        active_groups=groups,
        active_items=tuple(range(rows.item_count)) if abilities.frames else items,
        regions=read_regions(x, options) if control.settings.own_region else (),
        hint_for_each_row=seen.for_each_row and len(rows.negative) > 1,
        union_types=control.union_types,
        extra_args=control.extra_args,
        model_sampling=control.sampling.model_sampling,
    )


def _strength(control: Control, step: Step) -> float:
    """The strength at this step; 0 outside the range."""
    factors, sampling = control.settings.factors, control.sampling
    if control.strength == 0 or factors.is_zero:
        return 0.0
    start, end = control.timestep_percent_range
    if control.timestep_range is not sampling.own_range:  # another pack gave noise levels of its own
        start, end = 0.0, 1.0
        given = control.timestep_range
        if given is not None and not given[1] <= step.sigma <= given[0]:
            return 0.0
    factor = factors.step_factor(sampling.timeline(step.levels), step.sigma, start, end)
    return control.runner.strength(control.strength * factor)


@dataclass(frozen=True, eq=False)
class ControlStep:
    """One control at one step.

    previous: what the controls before it in the chain give. sizes: of the UNet's skips, where other nodes may have
    resized them.
    """

    control: Control
    request: StepRequest
    previous: HostResiduals | None
    sizes: SkipSizes | None = None

    def hint(self) -> PreparedHint:
        return self.control.hints.for_step(self.control, self.request)

    def announce(self) -> None:
        """Tell the network that it may run, so that it can run together with others."""
        runner = self.control.runner
        # With a run interval it may not run.
        if isinstance(runner, ResidualRunner) and self.control.settings.run_interval is None:
            runner.announce(self.request, self.hint)

    def patch(self, runner: PatchRunner) -> HostResiduals:
        """Add this step's patches to the host's own options: they act inside the base model's run."""
        self.control.record.note(self.request.step.sigma, True, Residuals((), ()))
        for place, patch in runner.patches(self.request, self.hint(), self._scales()):
            add_patch(self.request.step.options, place, patch)
        return self.previous or {part: [] for part in PARTS}

    def lengths(self) -> dict[str, int | None]:
        """How long the lists of `run` will be; None where only the network tells."""
        output_count = self.control.runner.abilities.output_count
        if output_count is None:
            return dict.fromkeys(PARTS)
        own = {"input": 0, "middle": max(0, self.request.needed - output_count), "output": output_count}
        before = {part: known_length(self.previous, part) for part in PARTS}
        return {part: None if (length := before[part]) is None else max(own[part], length) for part in PARTS}

    def run(self) -> HostResiduals:
        """Run, bring the residuals to all rows, and add them with all factors to those of the controls before."""
        request, settings = self.request, self.control.settings
        residuals, ran = self._residuals()
        if request.active_rows is not None:
            constants = request.step.kept.constants
            residuals = spread_rows(residuals, request.active_rows, request.row_count, constants)
        if self.control.global_average_pooling:
            residuals = residuals.map(_pool)
        scales = self._scales(residuals.count)
        # Sizes are those of its own residuals alone; a copy, so that measuring changes no rounding.
        measured = scale_residuals(residuals.copy(), scales) if settings.measured else residuals
        self.control.record.note(request.step.sigma, ran, measured)
        if self.control.runner.abilities.rounds_as_core:
            residuals, scales = scale_residuals(residuals, scales), Scales()
        total = chain_sum(residuals, scales, self.previous)
        return total if self.sizes is None else self.sizes.fit(total)

    def _residuals(self) -> tuple[Residuals, bool]:
        """Residuals of the active rows, to change at will, and whether the network ran for them."""
        runner, request = self.control.runner, self.request
        if not isinstance(runner, ResidualRunner):
            return Residuals((), ()), False
        run = functools.partial(runner.run, request, self.hint)
        if self.control.settings.run_interval is None:
            return run(), True
        rows, step = request.rows, request.step
        prompts = tuple(step.options.get("uuids") or rows.negative)
        key = (request.x.shape, request.active_rows, prompts, rows.window, request.needed)
        number = self.control.sampling.timeline(step.levels).step(step.sigma)
        return self.control.runs.residuals(key, number, self.control.settings.run_interval, run, step.deferred.add)

    def _scales(self, count: int | None = None) -> Scales:
        """All factors of this step together. count: of the residuals there are, where the last ones are missing."""
        request, settings = self.request, self.control.settings
        layers, for_each_row = self.control.hints.seen(self.control, request.latent_size, request.row_count)
        scales = replace(settings.factors, mask=None if for_each_row else layers.mask).scales(
            request.strength,
            self.control.runner.abilities.residual_count,
            request.rows,
            request.latent_size,
            settings.hint_order,
        )
        if for_each_row and layers.mask is not None:
            rows = range(request.row_count) if layers.mask.pictures > 1 else (0,) * request.row_count
            scales = replace(scales, mask=layers.mask, mask_rows=tuple(rows))
        if scales.blocks is not None and count is not None:
            scales = replace(scales, blocks=scales.blocks[:count])
        return replace(scales, constants=request.step.kept.constants).in_regions(request.regions)


def _pool(residual: Tensor) -> Tensor:
    """Every point gets the mean of its picture (the shuffle ControlNet of v1.1)."""
    return residual.mean(dim=(2, 3), keepdim=True).expand_as(residual).contiguous()
