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
from ...controlnet.hint.image import as_rgb_hint
from ...controlnet.report.record import Record
from ...controlnet.strength.timeline import SamplingTimeline, Span
from ..sampling.lazy_residuals import HostResiduals, lazy_residuals
from ..sampling.noise_level import on_device, without_device
from ..sampling.skip_sizes import SIZES_OPTION
from ..sampling.step import STEP_OPTION, STEP_READ_OPTION, Question, Step, StepReader
from ..sampling.step_wrapper import conditioning_hooks, step_hooks, when_sampling_ends
from .advanced_controlnet import AdvancedApply
from .control_hint import ControlHint
from .control_settings import ControlSettings
from .control_step import ControlStep, request_of
from .runner import PatchRunner, Runner


class CurrentSampling:
    """A control's knowledge of the current sampling.

    model_sampling: the base model's. percent_to_sigma: the host's function; searched: the same without a device, for
    searching. own_range: noise levels that the host made of Apply's range, to tell them from those of another pack.
    """

    def __init__(
        self,
        model_sampling: Any = None,
        percent_to_sigma: Callable[[float], float] = float,
        searched: Callable[[float], float] = float,
        own_range: Any = None,
    ) -> None:
        self.model_sampling, self.own_range = model_sampling, own_range
        self._percent_to_sigma, self._searched = percent_to_sigma, searched
        self._timeline: SamplingTimeline | None = None

    def timeline(self, levels: Any) -> SamplingTimeline:
        """Its steps, known from the first one on. levels: of its noise, as `Step` has them."""
        if self._timeline is None:
            self._timeline = SamplingTimeline(levels, self._percent_to_sigma, self._searched)
        return self._timeline

    def end(self, own_range: Any) -> None:
        """Let go of the model."""
        self.model_sampling = self._timeline = None
        self.own_range = own_range


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
        self.hints = ControlHint()
        self.runs = RunCache()
        self.sampling = CurrentSampling()
        self._steps = StepReader()

    @property
    def name(self) -> str:
        return self.runner.name

    @property
    def control_model(self) -> Any:
        """The network, as packs ask for it on a host's `ControlNet` to read its `dtype`."""
        return self.runner.loaded.network

    @control_model.setter
    def control_model(self, network: Any) -> None:
        """Compiled by another pack (TorchCompileControlNet of KJNodes)."""
        self.runner = self.runner.with_compiled(network)

    @property
    def hint(self) -> Tensor:
        """The hint that Apply gave, (B, 3, H, W), without what travels with it."""
        return self.hints.image(self)

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
                    "ControlNet Apply."
                )
            self.compression_ratio = self.runner.stride * vae.spacial_compression_encode()
        packed = self.hints.pack(as_rgb_hint(cond_hint), self)
        ControlBase.set_cond_hint(self, packed, strength, timestep_percent_range, vae, extra_concat)
        return self

    def set_cond_hint_mask(self, mask: Tensor) -> Control:
        super().set_cond_hint_mask(mask)
        self.hints.pack_again(self)
        return self

    def with_settings(self, **changes: Any) -> Control:
        """A copy with other `ControlSettings`."""
        twin = self.copy()
        twin.settings = replace(self.settings, **changes)
        return twin

    def copy(self) -> Control:
        twin = Control(self.runner, self.settings)
        self.copy_to(twin)
        twin.hints = self.hints.copy()
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
        self.sampling = CurrentSampling(
            on_device(model.model_sampling, self.runner.loaded.load_device),
            percent_to_sigma,
            without_device(model.model_sampling, percent_to_sigma),
            self.timestep_range,
        )
        when_sampling_ends(model, f"zeroconv {id(self)}", self.cleanup)

    def cleanup(self) -> None:
        ControlBase.cleanup(self)
        self._release()

    def _release(self) -> None:
        """Let go of all that belongs to one sampling; AnimateDiff-Evolved takes nothing back itself."""
        self.sub_idxs, self.full_latent_length, self.context_length = None, 0, 0
        self._steps.clear()
        self.runs.clear()
        self.hints.clear()
        self.sampling.end(self.timestep_range)
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
        request = request_of(self, step, x_noisy, t, cond, batched_number, transformer_options)
        if not request.is_active:
            return previous
        own = ControlStep(self, request, previous, None if outer else transformer_options.get(SIZES_OPTION))
        if self.latent_format is not None:  # the VAE may have to make room, and cannot while the base model runs
            own.hint()
        if isinstance(self.runner, PatchRunner):
            return own.patch(self.runner)
        own.announce()
        return lazy_residuals(own.run, own.lengths())

    def ask_step(
        self, x: Tensor, t: Tensor, cond: dict[str, Any], group_count: int, options: dict[str, Any]
    ) -> Question:
        """The values that a step reads from the device, together with those of others; arguments of `get_control`."""
        return self._steps.ask(x, t, cond, group_count, options)
