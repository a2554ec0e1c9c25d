"""Wraps each sampling step that uses one of our controls, and tells them when the sampling has ended.

A wrapper of the host's step (`comfy.samplers.calc_cond_batch`) sees all conditionings at once, and the whole latent.
The host adds such wrappers for a sampling when a control asks for them by its `extra_hooks`.

The host calls a control's `cleanup` only when a sampling succeeds; the model's own `cleanup` it calls always.
"""

import functools
from collections.abc import Callable
from typing import Any

import comfy.hooks
from comfy.patcher_extension import CallbacksMP, WrappersMP
from torch import Tensor

from .joint_control import join_controls
from .prompts import PROMPTS_OPTION, prompts_of, prompts_of_guider
from .regions import ITEMS_OPTION, regions_of
from .skip_sizes import watch_skips

NAME = "zeroconv_step"


class StepHook(comfy.hooks.TransformerOptionsHook):
    """Acts on the sampling and never on single conditionings, which the host need not keep apart for it."""


@functools.cache
def step_hooks() -> comfy.hooks.HookGroup:
    """For the `extra_hooks` of every control: one group, so that the host adds the wrappers once."""
    wrappers = {WrappersMP.PREDICT_NOISE: _name_prompts, WrappersMP.CALC_COND_BATCH: _wrap_step}
    group = comfy.hooks.HookGroup()
    group.add(StepHook({"wrappers": {kind: {NAME: [wrapper]} for kind, wrapper in wrappers.items()}}))
    return group


def conditioning_hooks(groups: list[comfy.hooks.HookGroup]) -> list[comfy.hooks.HookGroup]:
    """Those hooks that the host has to apply to conditionings.

    For these it samples the conditionings apart, and newer hosts give up their dynamic memory (0.33).
    """
    return [group for group in groups if not all(isinstance(hook, StepHook) for hook in group.hooks)]


def _name_prompts(predict: Any, x: Tensor, timestep: Tensor, model_options: dict[str, Any], *rest: Any) -> Any:
    """The host's `CFGGuider.predict_noise`, which knows its conditionings by name."""
    known = {PROMPTS_OPTION: prompts_of_guider(predict.class_obj)}
    return predict(x, timestep, _with_options(model_options, known), *rest)


def _wrap_step(
    step: Callable[..., Any], model: Any, conds: list[Any], x: Tensor, timestep: Tensor, model_options: dict[str, Any]
) -> Any:
    """The host's step, with what controls cannot see by themselves."""
    options = model_options.get("transformer_options", {})
    added = {**prompts_of(conds, options.get(PROMPTS_OPTION, {})), **regions_of(conds, x), **watch_skips(options)}
    added[ITEMS_OPTION] = x.shape[0]
    joined = join_controls(conds, model_options)
    return step(model, joined, x, timestep, _with_options(model_options, added))


def _with_options(model_options: dict[str, Any], added: dict[str, Any]) -> dict[str, Any]:
    return {**model_options, "transformer_options": {**model_options.get("transformer_options", {}), **added}}


def when_sampling_ends(model: Any, name: str, act: Callable[[], None]) -> None:
    """Call `act` once, when the sampling that is about to begin has ended, also if it failed or was cancelled.

    model: the host's base model, in its `pre_run`. name: of what is to end; the last `act` given for it counts. What is
    added to the model for it takes itself off again.
    """
    patcher = getattr(model, "current_patcher", None)
    if patcher is None:
        return

    def end(_: Any) -> None:
        patcher.remove_callbacks_with_key(CallbacksMP.ON_CLEANUP, name)
        act()

    patcher.remove_callbacks_with_key(CallbacksMP.ON_CLEANUP, name)
    patcher.add_callback_with_key(CallbacksMP.ON_CLEANUP, name, end)
