"""The same sampling on the CPU and on the pretended GPU, with what happened at every evaluation of the base model."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from zeroconv.benchmarks.measuring.machine import attending_by
from zeroconv.host.conditioning import Unit

from support.comfy_host import TWO_LEVELS, import_host, small_model, small_sdxl_model

import_host()

import comfy.model_management
from comfy.patcher_extension import WrappersMP

from support.gpu import Event, Ledger, pretended_gpu
from support.networks import dimensions, random_network
from support.sampling import Run, prompts, sample

WIDTH = 32
THREE_STEPS = Run(steps=3)
MODELS: dict[str, Callable[[], Any]] = {
    "two levels": functools.partial(small_model, WIDTH, **TWO_LEVELS),
    "SD1.5": functools.partial(small_model, WIDTH),
    "SDXL": small_sdxl_model,
}
_MODELS: dict[tuple[str, str], Any] = {}
"""The base models by family and device, made once; their weights are on the CPU between two scenes."""


@dataclass
class Outcome:
    """latents: of the end. whole: what happened in all. evaluations: at each evaluation of the base model."""

    latents: Tensor
    whole: Ledger = field(default_factory=Ledger)
    evaluations: list[Ledger] = field(default_factory=list)


@dataclass(frozen=True)
class Scene:
    """units: makes the controls with their hints, anew for every device. prompt: makes the two prompts, with whatever
    nodes add to them. change: of the MODEL by other nodes."""

    units: Callable[[], list[Unit]] = list
    prompt: Callable[[], tuple[list, list]] = prompts
    run: Run = THREE_STEPS
    family: str = "two levels"
    change: Callable[[Any], Any] = lambda model: model


def base_model(family: str) -> Any:
    """The MODEL of a family for the device of now; its weights are the same on all."""
    device = comfy.model_management.get_torch_device()
    key = family, device.type
    if key not in _MODELS:
        _MODELS[key] = MODELS[family]()
    return _MODELS[key].clone()


def on_cpu(scene: Scene) -> Outcome:
    with attending_by("sdpa"):
        return Outcome(_sample(scene, base_model(scene.family)))


def on_gpu(scene: Scene, gpu: AbstractContextManager[Ledger] | None = None) -> Outcome:
    """gpu: another one than usual."""
    evaluations: list[Ledger] = []
    with gpu or pretended_gpu() as ledger:
        model = base_model(scene.family)
        model.add_wrapper_with_key(WrappersMP.PREDICT_NOISE, "test", _watching(ledger, evaluations))
        with ledger.part() as whole:
            latents = _sample(scene, model)
    assert type(latents) is Tensor
    return Outcome(latents, whole, evaluations)


def _watching(ledger: Ledger, evaluations: list[Ledger]) -> Callable[..., Any]:
    def evaluate(predict: Callable[..., Any], *arguments: Any) -> Any:
        with ledger.part() as inside:
            result = predict(*arguments)
        evaluations.append(inside)
        return result

    return evaluate


def _sample(scene: Scene, model: Any) -> Tensor:
    return sample(scene.change(model), scene.units(), scene.run, scene.prompt())


def distance(value: Tensor, reference: Tensor) -> float:
    """Relative L2 distance."""
    return float((value.double() - reference.double()).norm() / reference.double().norm())


def added(own: list[Any], plain: list[Any]) -> list[str]:
    """The events of a sampling that one without control has not, by their lines."""
    rest = Counter(event.line for event in plain)
    more = []
    for event in own:
        rest[event.line] -= 1
        if rest[event.line] < 0:
            more.append(str(event))
    return more


def caused_by_us(events: list[Event]) -> list[str]:
    """The events that this package caused, directly or through a layer or a function of the host that it called."""
    return [str(event) for event in events if _is_ours(event)]


def _is_ours(event: Event) -> bool:
    for line in event.lines:
        if line.startswith(("host/", "controlnet/", "preprocessors/", "training/")):
            return True
        if line.startswith(("comfy/model_base", "comfy/controlnet", "comfy/samplers")):
            return False
    return False


def weights(seed: int) -> dict[str, Tensor]:
    """A ControlNet for the model of two levels, that acts strongly."""
    state = dict(random_network(dimensions("SD1.5, two levels", WIDTH), seed).state_dict())
    return {k: v * (3.0 if k.startswith(("zero_convs", "middle_block_out")) else 1.0) for k, v in state.items()}
