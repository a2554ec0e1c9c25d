"""Code of ours around every step of a sampling in which one of our controls takes part.

Whoever wraps the host's step (`comfy.samplers.calc_cond_batch`) sees all conditionings at once, and the whole latent.
The host adds such a wrapper for a sampling when a control asks by its `extra_hooks`.
"""

import functools
from collections.abc import Callable
from typing import Any

import comfy.hooks
import comfy.patcher_extension
from torch import Tensor

from .joint_control import join_controls
from .regions import write_regions

NAME = "zeroconv_step"


class StepHook(comfy.hooks.TransformerOptionsHook):
    """Acts on the sampling and never on single conditionings, which the host need not keep apart for it."""


@functools.cache
def step_hooks() -> comfy.hooks.HookGroup:
    """For the `extra_hooks` of every control: one group, so that the host adds the wrapper once."""
    kind = comfy.patcher_extension.WrappersMP.CALC_COND_BATCH
    group = comfy.hooks.HookGroup()
    group.add(StepHook({"wrappers": {kind: {NAME: [_around_step]}}}))
    return group


def of_conditionings(groups: list[comfy.hooks.HookGroup]) -> list[comfy.hooks.HookGroup]:
    """Those hooks that the host has to apply to conditionings.

    For these it samples the conditionings apart, and newer hosts give up their dynamic memory (0.33).
    """
    return [group for group in groups if not all(isinstance(hook, StepHook) for hook in group.hooks)]


def _around_step(
    step: Callable[..., Any], model: Any, conds: list[Any], x: Tensor, timestep: Tensor, options: dict[str, Any]
) -> Any:
    """The host's step, with what controls cannot see by themselves."""
    # With several devices (newer hosts) each has controls of its own, by the identity of the first one's.
    joined = conds if "multigpu_clones" in options else join_controls(conds)
    return step(model, joined, x, timestep, write_regions(conds, x, options))
