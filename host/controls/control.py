"""A control in ComfyUI's contract: its place in a chain, its hint, and how much, where and when it acts.

The contract is `comfy.controlnet.ControlBase` (ComfyUI 0.3.75 and 0.33): set_cond_hint, pre_run, get_control, cleanup,
copy. Whatever of its attributes others write is heeded, in the middle of a sampling too. Core never calls `cleanup`
when a run fails or is cancelled, so `pre_run` and the end of the model's run let go as well.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, final

import torch
from comfy.controlnet import ControlBase, ControlNet
from torch import Tensor

from ...controlnet.caching.run_interval import RunCache
from ...controlnet.caching.tensor_cache import TensorCache
from ...controlnet.constants import Constants
from ...controlnet.hint.fit import Fit
from ...controlnet.hint.image import as_rgb_hint
from ...controlnet.hint.order import hint_indices, spread_hints
from ...controlnet.hint.region import Region
from ...controlnet.report.record import Record
from ...controlnet.residuals import PARTS, Residuals
from ...controlnet.strength.factors import StepRows
from ...controlnet.strength.scaling import Scales, scale_residuals, spread_rows
from ...controlnet.strength.timeline import SamplingTimeline, Span
from ..sampling.chain_sum import chain_sum
from ..sampling.lazy_residuals import HostResiduals, known_length, lazy_residuals
from ..sampling.noise_level import on_device, without_device
from ..sampling.patches import add_patch
from ..sampling.regions import COLORS, Layers, read_regions
from ..sampling.request import FrameWindow, StepRequest, active_rows, read_rows
from ..sampling.skip_sizes import SIZES_OPTION, SkipSizes
from ..sampling.step import STEP_OPTION, STEP_READ_OPTION, Question, Step, StepReader
from ..sampling.step_wrapper import conditioning_hooks, step_hooks, when_sampling_ends
from .advanced_controlnet import AdvancedApply
from .control_settings import ControlSettings
from .runner import HintView, PatchRunner, PreparedHint, ResidualRunner, Runner


@final
class Control(AdvancedApply, ControlNet):
    """One network with its hint and its settings, and the controls before it in the chain.

    A host's `ControlNet` only for packs that ask whether it is one before they cut its hint (Tiled KSampler); nothing
    of that class is used, but for `ControlBase`, which it inherits from.
    A new kind of network brings a `Runner`; nothing here is to be overridden. sub_idxs, full_latent_length,
    context_length: written by AnimateDiff-Evolved, the frames of the window that is sampled, of how many, and its
    length.
    """

    def __init__(self, runner: Runner, settings: ControlSettings | None = None) -> None:
        ControlBase.__init__(self)
        self.runner = runner
        self.settings = settings or ControlSettings()
        self.record = Record()
        """Its record of the last sampling."""
        self.extra_hooks = step_hooks()
        self.latent_format, self.concat_mask = runner.latent_format, runner.concat_mask
        self.compression_ratio, self.preprocess_image = runner.stride, runner.preprocess_image
        self.sub_idxs: list[int] | None = None
        self.full_latent_length = 0
        self.context_length = 0
        self._layers: Layers | None = None
        self._packed: Tensor | None = None
        self._tiles: TensorCache[Layers] = TensorCache()
        self._hints: TensorCache[PreparedHint] = TensorCache()
        self._runs = RunCache()
        self._steps = StepReader()
        self._model_sampling: Any = None
        self._percent_to_sigma: Callable[[float], float] = float
        self._searched: Callable[[float], float] = float
        self._timeline: SamplingTimeline | None = None
        self._own_range: Any = None

    @property
    def name(self) -> str:
        return self.runner.name

    @property
    def control_model(self) -> Any:
        """What packs ask of a host's `ControlNet`: its network, and of that the `dtype`."""
        return self.runner.loaded.network

    @control_model.setter
    def control_model(self, network: Any) -> None:
        """Compiled by another pack (TorchCompileControlNet of KJNodes)."""
        self.runner = self.runner.with_compiled(network)

    @property
    def hint(self) -> Tensor:
        """The hint that Apply gave, (B, 3, H, W), without what travels with it."""
        return self.cond_hint_original if self._layers is None else self._layers.hint

    @property
    def device(self) -> torch.device:
        """Where the network is when it runs."""
        return self.runner.loaded.load_device

    @property
    def divisible(self) -> bool:
        """Whether it can be asked for a part of a step's rows, and acts on no others then."""
        return self.runner.abilities.divisible

    @property
    def union_types(self) -> tuple[int, ...]:
        """Kinds of all hints, the one of Apply first; empty when none was chosen or the network knows one kind."""
        if not self.runner.union_types:
            return ()
        return (*self.extra_args.get("control_type", ()), *(hint.type for hint in self.settings.union_hints))

    # What ComfyUI does with a control before and after a sampling

    def set_cond_hint(
        self,
        cond_hint: Tensor,
        strength: float = 1.0,
        timestep_percent_range: tuple[float, float] = (0.0, 1.0),
        vae: Any = None,
        extra_concat: list[Tensor] = [],  # noqa: B006  the host's signature; it is only read
    ) -> Control:
        """Raises ValueError for a hint that is not an image, a range that never acts, a missing VAE or type."""
        Span(*timestep_percent_range)
        self.runner.check_union_types(self.union_types, "control_type" in self.extra_args)
        if self.latent_format is not None:
            if vae is None:
                raise ValueError(
                    f"'{self.name}' ({self.runner.family}) sees the hint through the VAE. Wire the model's VAE to "
                    "Apply ControlNet."
                )
            self.compression_ratio = self.runner.stride * vae.spacial_compression_encode()
        packed = self._pack(as_rgb_hint(cond_hint))
        ControlBase.set_cond_hint(self, packed, strength, timestep_percent_range, vae, extra_concat)
        return self

    def set_cond_hint_mask(self, mask: Tensor) -> Control:
        super().set_cond_hint_mask(mask)
        if self._layers is not None and self.cond_hint_original is self._packed:
            self.cond_hint_original = self._pack(self._layers.hint)
        return self

    def _pack(self, hint: Tensor) -> Tensor:
        """The hint with all that packs which cut hints are to cut with it."""
        self._layers = Layers(hint, self.settings.factors.mask, self.settings.union_hints)
        # A VAE that another pack sends the hint through takes three channels only.
        self._packed = self._layers.packed() if self.latent_format is None else hint
        return self._packed

    def with_settings(self, **changes: Any) -> Control:
        """A copy with other `ControlSettings`."""
        twin = self.copy()
        twin.settings = replace(self.settings, **changes)
        return twin

    def copy(self) -> Control:
        twin = Control(self.runner, self.settings)
        self.copy_to(twin)
        twin._layers, twin._packed = self._layers, self._packed
        return twin

    def deepclone_multigpu(self, load_device: torch.device, autoregister: bool = False) -> Control:
        """A twin whose network lives on another device (newer hosts)."""
        twin = self.copy()
        twin.runner = self.runner.on_device(load_device)
        if autoregister:
            self.multigpu_clones[load_device] = twin
        return twin

    def get_models(self) -> list[Any]:
        return [*ControlBase.get_models(self), *self.runner.models()]

    def get_extra_hooks(self) -> list[Any]:
        return conditioning_hooks(ControlBase.get_extra_hooks(self))

    def inference_memory_requirements(self, dtype: torch.dtype) -> int:
        """Bytes that a step takes, for the chain. With a run interval a second set of residuals is held."""
        before = ControlBase.inference_memory_requirements(self, dtype)
        if self.strength == 0 or self.cond_hint_original is None:
            return before
        sets = 1 if self.settings.run_interval is None else 2
        return before + self.runner.memory(self.cond_hint_original.shape, dtype, sets)

    def pre_run(self, model: Any, percent_to_timestep_function: Callable[[float], float]) -> None:
        """Raises ValueError when the network was made for another base model. model: the host's `BaseModel`."""
        self.runner.check_base_model(model)
        # Kept, since the host's function reads a value from the device, which would stop every step.
        percent_to_sigma = functools.cache(percent_to_timestep_function)
        ControlBase.pre_run(self, model, percent_to_sigma)
        self._release()
        self.runner.begin(model)
        self.record = Record(self.settings.measured)
        self._percent_to_sigma = percent_to_sigma
        self._model_sampling = on_device(model.model_sampling, self.runner.loaded.load_device)
        self._searched = without_device(model.model_sampling, percent_to_sigma)
        self._own_range = self.timestep_range
        when_sampling_ends(model, f"zeroconv {id(self)}", self.cleanup)

    def cleanup(self) -> None:
        ControlBase.cleanup(self)
        self._own_range = self.timestep_range
        self._release()

    def _release(self) -> None:
        """Let go of all that belongs to one sampling; AnimateDiff-Evolved takes nothing back itself."""
        self.sub_idxs, self.full_latent_length, self.context_length = None, 0, 0
        self._steps.clear()
        self._runs.clear()
        self._hints.clear()
        self._tiles.clear()
        self._timeline = self._model_sampling = None
        self.runner.release()

    # One step: described in order in `sampling/__init__.py`

    def get_control(
        self, x_noisy: Tensor, t: Tensor, cond: dict[str, Any], batched_number: int, transformer_options: dict[str, Any]
    ) -> HostResiduals | None:
        """Residuals of this control and of those before it, computed when one is taken; None when none acts."""
        outer: Step | None = transformer_options.get(STEP_OPTION)
        step = outer or transformer_options.get(STEP_READ_OPTION)
        step = step or self._steps.read(x_noisy, t, cond, batched_number, transformer_options)
        previous = None
        if self.previous_controlnet is not None:
            options = {**transformer_options, STEP_OPTION: step}
            previous = self.previous_controlnet.get_control(x_noisy, t, cond, batched_number, options)
        request = self._request(step, x_noisy, t, cond, batched_number, transformer_options)
        if not request.is_active:
            return previous
        if self.latent_format is not None:  # the VAE may have to make room, and cannot while the base model runs
            self._hint(request)
        if isinstance(self.runner, PatchRunner):
            self._patch(request)
            return previous or {part: [] for part in PARTS}
        if self.settings.run_interval is None:  # with one, the network may not run
            self._announce(request)
        sizes = None if outer else transformer_options.get(SIZES_OPTION)
        return lazy_residuals(functools.partial(self._add, request, previous, sizes), self._lengths(request, previous))

    def ask_step(
        self, x: Tensor, t: Tensor, cond: dict[str, Any], group_count: int, options: dict[str, Any]
    ) -> Question:
        """What a step has to know, for those who read it together with that of others; arguments of `get_control`."""
        return self._steps.ask(x, t, cond, group_count, options)

    def _request(
        self, step: Step, x: Tensor, t: Tensor, cond: dict[str, Any], group_count: int, options: dict[str, Any]
    ) -> StepRequest:
        """The request to the network at this step."""
        factors, abilities = self.settings.factors, self.runner.abilities
        rows = read_rows(x, group_count, options, self._window())
        groups, items = active_rows(factors.rows(rows), rows)
        _, each = self._seen((x.shape[-2], x.shape[-1]), x.shape[0])
        return StepRequest(
            step,
            x,
            t,
            cond,
            rows,
            strength=self._strength(step),
            needed=factors.needed(abilities.residual_count),
            active_groups=groups,
            active_items=tuple(range(rows.item_count)) if abilities.frames else items,
            regions=read_regions(x, options) if self.settings.own_region else (),
            hint_for_each_row=each and len(rows.negative) > 1,
            union_types=self.union_types,
            extra_args=self.extra_args,
            model_sampling=self._model_sampling,
        )

    def _window(self) -> FrameWindow | None:
        if not self.sub_idxs:
            return None
        return FrameWindow(tuple(self.sub_idxs), self.full_latent_length or None)

    def _strength(self, step: Step) -> float:
        """The strength at this step; 0 outside the range."""
        factors = self.settings.factors
        if self.strength == 0 or factors.is_zero:
            return 0.0
        if self._timeline is None:
            self._timeline = SamplingTimeline(step.levels, self._percent_to_sigma, self._searched)
        start, end = self.timestep_percent_range
        if self.timestep_range is not self._own_range:  # another pack gave noise levels of its own
            start, end = 0.0, 1.0
            if self.timestep_range is not None and not self.timestep_range[1] <= step.sigma <= self.timestep_range[0]:
                return 0.0
        return self.runner.strength(self.strength * factors.step_factor(self._timeline, step.sigma, start, end))

    def _announce(self, request: StepRequest) -> None:
        if isinstance(self.runner, ResidualRunner):
            self.runner.announce(request, functools.partial(self._hint, request))

    def _patch(self, request: StepRequest) -> None:
        """Add this step's patches to the host's own options: they act inside the base model's run."""
        if isinstance(self.runner, PatchRunner):
            self.record.note(request.step.sigma, True, Residuals((), ()))
            for place, patch in self.runner.patches(request, self._hint(request), self._scales(request)):
                add_patch(request.step.options, place, patch)

    def _add(self, request: StepRequest, previous: HostResiduals | None, sizes: SkipSizes | None) -> HostResiduals:
        """Run, bring the residuals to all rows, and add them with all factors to those of the controls before.

        sizes: of the UNet's skips, where other nodes may have resized them.
        """
        residuals, ran = self._residuals(request)
        if request.active_rows is not None:
            constants = request.step.kept.constants
            residuals = spread_rows(residuals, request.active_rows, request.row_count, constants)
        if self.global_average_pooling:
            residuals = residuals.map(_pool)
        scales = self._scales(request, residuals.count)
        # Sizes are those of its own residuals alone; a copy, so that measuring changes no rounding.
        self.record.note(
            request.step.sigma, ran, scale_residuals(residuals.copy(), scales) if self.settings.measured else residuals
        )
        if self.runner.abilities.rounds_as_core:
            residuals, scales = scale_residuals(residuals, scales), Scales()
        total = chain_sum(residuals, scales, previous)
        return total if sizes is None else sizes.fit(total)

    def _residuals(self, request: StepRequest) -> tuple[Residuals, bool]:
        """Residuals of the active rows, to change at will, and whether the network ran for them."""
        runner, hint = self.runner, functools.partial(self._hint, request)
        if not isinstance(runner, ResidualRunner):
            return Residuals((), ()), False
        if self.settings.run_interval is None or self._timeline is None:
            return runner.run(request, hint), True
        rows, step = request.rows, request.step
        prompts = tuple(step.options.get("uuids") or rows.negative)
        key = (request.x.shape, request.active_rows, prompts, rows.window, request.needed)
        return self._runs.residuals(
            key,
            self._timeline.step(step.sigma),
            self.settings.run_interval,
            lambda: runner.run(request, hint),
            step.deferred.add,
        )

    def _scales(self, request: StepRequest, count: int | None = None) -> Scales:
        """All factors of this step together. count: of the residuals there are, where the last ones are missing."""
        factors, (layers, each) = self.settings.factors, self._seen(request.latent_size, request.row_count)
        masked = replace(factors, mask=layers.mask)
        scales = (replace(factors, mask=None) if each else masked).scales(
            request.strength,
            self.runner.abilities.residual_count,
            request.rows,
            request.latent_size,
            self.settings.hint_order,
        )
        if each and masked.mask is not None:
            rows = range(request.row_count) if masked.mask.pictures > 1 else (0,) * request.row_count
            scales = replace(scales, mask=masked.mask, mask_rows=tuple(rows))
        if scales.blocks is not None and count is not None:
            scales = replace(scales, blocks=scales.blocks[:count])
        return replace(scales, constants=request.step.kept.constants).in_regions(request.regions)

    def _lengths(self, request: StepRequest, previous: HostResiduals | None) -> dict[str, int | None]:
        """How long the lists will be; None where only the network tells."""
        output_count = self.runner.abilities.output_count
        if output_count is None:
            return dict.fromkeys(PARTS)
        own = {"input": 0, "middle": max(0, request.needed - output_count), "output": output_count}
        before = {part: known_length(previous, part) for part in PARTS}
        return {part: None if (length := before[part]) is None else max(own[part], length) for part in PARTS}

    # Its hint

    def hint_index_per_item(self, hint_count: int, rows: StepRows) -> tuple[int, ...]:
        """Index of the hint of each item, or NO_HINT. Raises ValueError when the numbers do not fit."""
        if self.runner.abilities.frames:
            total = rows.item_count if rows.window is None else rows.total
            return spread_hints(hint_count, rows.frames, total, self.settings.frames)
        return hint_indices(hint_count, rows.item_count, self.settings.hint_order, rows.window)

    def _hint(self, request: StepRequest) -> PreparedHint:
        """The hint as the network takes it: one row for all, one for each active item, or one for each active row."""
        if not request.regions:
            return self._hint_in(None, request)
        parts = {region: self._hint_in(region, request) for region in dict.fromkeys(request.regions)}
        if len(parts) == 1:
            return parts[request.regions[0]]
        item_count = len(request.active_items)
        groups = [parts[request.regions[group]] for group in request.active_groups]
        return tuple(
            torch.cat([part.expand(item_count, *part.shape[1:]) for part in parts])
            for parts in zip(*groups, strict=True)
        )

    def _hint_in(self, region: Region | None, request: StepRequest) -> PreparedHint:
        """The hint in a region, or all of it: one row, or one for each active item or row."""
        size = request.latent_size if region is None else region.whole
        layers, each = self._seen(size, request.row_count)
        image, fit = layers.hint, Fit() if self._fits(self.cond_hint, size) else self.settings.fit
        order = (request.active_rows or tuple(range(request.row_count))) if each else None
        view = HintView(
            image,
            size,
            region,
            self.compression_ratio,
            fit,
            request.x.device,
            union_hints=layers.union_hints,
            union_types=request.union_types,
            preprocess=self.preprocess_image,
            vae=self.vae,
            masks=self.extra_concat_orig,
            inpaint=self.settings.inpaint,
        )
        token = (size, region, fit, request.x.dtype, self.runner.loaded.weights_state, request.union_types)
        hint = self._hints.get(image, token, lambda: self.runner.prepare_hint(view))
        if order is None:
            indices = self.hint_index_per_item(image.shape[0], request.rows)
            order = tuple(indices[item] for item in request.active_items)
        return _choose(hint, order, request.step.kept.constants)

    def _seen(self, size: tuple[int, int], row_count: int) -> tuple[Layers, bool]:
        """The hint and all that lies over the picture, of a tile where another pack gave its part.

        size: of the latent. Returns also whether there is one for each row.
        """
        if self._fits(self.cond_hint, size):
            tile = self.cond_hint
        elif self.cond_hint_original is not self._packed:
            tile = self.cond_hint_original
        else:
            tile = None
        own = Layers(self.cond_hint_original, self.settings.factors.mask, self.settings.union_hints)
        if self._layers is not None:
            own = replace(own, hint=self._layers.hint)
        if tile is None:
            return own, False
        seen = self._tiles.get(
            tile, None, lambda: (own if tile.shape[1] == COLORS else self._layers or own).unpacked(tile)
        )
        return seen, tile is self.cond_hint and tile.shape[0] == row_count

    def _fits(self, hint: Tensor | None, size: tuple[int, int]) -> bool:
        """Whether a hint has the size at which the network sees such a latent, as core asks it of `cond_hint`."""
        ratio = self.compression_ratio
        return hint is not None and tuple(hint.shape[-2:]) == (size[0] * ratio, size[1] * ratio)


def _choose(hint: PreparedHint, order: tuple[int, ...], constants: Constants) -> PreparedHint:
    """The rows of a prepared hint in this order; a single hint stands for all."""
    count = hint[0].shape[0]
    if count == 1 or order == tuple(range(count)):
        return hint
    return tuple(constants.rows(tensor, [index % count for index in order]) for tensor in hint)


def _pool(residual: Tensor) -> Tensor:
    """Every point gets the mean of its picture (the shuffle ControlNet of v1.1)."""
    return residual.mean(dim=(2, 3), keepdim=True).expand_as(residual).contiguous()
