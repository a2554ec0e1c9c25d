"""The step cache as wrappers of a model: at some steps a part of the UNet runs, and the controls rest.

All state belongs to one sampling, and is found in its options. The host asks controls for their residuals before it
runs the UNet; ours compute theirs when they are taken, and at a step on kept features nobody takes one.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import comfy.model_patcher
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ...controlnet.caching.step_cache import Features, StepCache, StepCacheSettings
from ...controlnet.strength.timeline import SamplingTimeline
from .lazy_residuals import HostResiduals
from .noise_level import NOISE_LEVEL_OPTION, NoiseLevel
from .unet_parts import Capture, UnetCall, check_unet, run_decoder, run_outer_blocks

NAME = "zeroconv_step_cache"
"""Name of the wrappers, and of the option that holds the state of a sampling."""


def with_step_cache(model: Any, settings: StepCacheSettings) -> Any:
    """A copy of a MODEL with this cache in the place of an earlier one; every step whole: without any.

    Raises ValueError when its UNet cannot be divided.
    """
    check_unet(model.model)
    cached = model.clone()
    wrappers: dict[str, Callable[..., Any]] = {
        WrappersMP.OUTER_SAMPLE: functools.partial(_around_sampling, settings),
        WrappersMP.PREDICT_NOISE: _before_evaluation,
        WrappersMP.DIFFUSION_MODEL: _around_unet,
    }
    for kind, wrapper in wrappers.items():
        cached.remove_wrappers_with_key(kind, NAME)
        if settings.run_interval.n > 1:
            cached.add_wrapper_with_key(kind, NAME, wrapper)
    return cached


class _Sampling:
    """One sampling with its key steps. ready: whether an evaluation has begun."""

    def __init__(self, settings: StepCacheSettings, percent_to_sigma: Callable[[float], float]) -> None:
        self.settings = settings
        self.cache: StepCache[Features] = StepCache(settings.run_interval)
        self.ready = False
        self.noise_level = NoiseLevel()
        self._percent_to_sigma = functools.cache(percent_to_sigma)
        self._progress: SamplingTimeline | None = None
        self._begun = False
        for percent in (settings.start, settings.end):  # before the first step: the host reads them from the device
            self._percent_to_sigma(percent)

    def begin(self, sigma: Tensor, levels: Tensor | None) -> None:
        """A new evaluation. sigma: (rows,), levels: of all steps."""
        self.noise_level.begin(sigma, levels)
        self.ready, self._begun = True, False

    def note_evaluation(self) -> None:
        """Called when the UNet is: by then a control has read the noise level, if there is one."""
        if self._begun:
            return
        sigma = self.noise_level.read()
        if self._progress is None:
            self._progress = SamplingTimeline(self.noise_level.levels, self._percent_to_sigma)
        self.cache.begin(self._progress.step(sigma), self._progress.inside(sigma, self.settings.span))
        self._begun = True


def _around_sampling(settings: StepCacheSettings, sample: Any, *arguments: Any, **named: Any) -> Any:
    """The host's `CFGGuider.outer_sample`, with options that hold what belongs to this sampling."""
    guider = sample.class_obj
    own = guider.model_options
    sampling = _Sampling(settings, guider.model_patcher.get_model_object("model_sampling").percent_to_sigma)
    guider.model_options = comfy.model_patcher.create_model_options_clone(own)
    guider.model_options.setdefault("transformer_options", {}).update(
        {NAME: sampling, NOISE_LEVEL_OPTION: sampling.noise_level}
    )
    try:
        return sample(*arguments, **named)
    finally:
        guider.model_options = own
        sampling.cache.clear()


def _before_evaluation(
    predict: Callable[..., Any], x: Tensor, timestep: Tensor, model_options: Mapping[str, Any], *rest: Any
) -> Any:
    """The host's `CFGGuider.predict_noise`: one evaluation, in as many calls of the UNet as it takes."""
    options = model_options.get("transformer_options", {})
    sampling = options.get(NAME)
    if sampling is not None:
        sampling.begin(timestep, options.get("sample_sigmas"))
    return predict(x, timestep, model_options, *rest)


def _around_unet(
    run: Any,
    x: Tensor,
    timesteps: Tensor,
    context: Tensor | None,
    y: Tensor | None,
    control: HostResiduals | None,
    options: dict[str, Any],
    **named: Any,
) -> Tensor:
    """The host's `UNetModel._forward`, or a part of it."""
    sampling: _Sampling | None = options.get(NAME)
    if sampling is None or not sampling.ready:
        return run(x, timesteps, context, y, control, options, **named)
    sampling.note_evaluation()
    unet, method = run.class_obj, sampling.settings.method

    def whole() -> tuple[Tensor, Features | None]:
        capture = Capture(unet, method, control)
        output = run(x, timesteps, context, y, control, capture.hook(options), **named)
        return output, capture.features

    def part(features: Features) -> Tensor:
        call = UnetCall(x, timesteps, context, y, options)
        divided = run_decoder if method == "encoder propagation" else run_outer_blocks
        return divided(unet, call, features)

    identities = tuple(options.get("uuids") or options.get("cond_or_uncond") or ())
    kind = (id(unet), identities, x.shape, x.dtype, x.device, control is None)
    return sampling.cache.run(kind, whole, part)
