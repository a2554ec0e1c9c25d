"""Little memory on a GPU: weights that stay on the CPU, other precisions, and how much a sampling holds."""

import functools

import pytest
import torch
from support.comfy_host import import_host

import_host()

import comfy.model_management
from support.gpu import pretended_gpu
from support.sampling import Run, hint, sample
from support.scenes import Scene, base_model, caused_by_us, distance, on_cpu, on_gpu, weights
from zeroconv.host.conditioning import Unit
from zeroconv.host.controls.control import Control
from zeroconv.host.loading.load import control_from_tensors
from zeroconv.host.loading.precision import Precision

WEIGHTS = weights(1)


def ours(precision: Precision = "auto") -> Control:
    return control_from_tensors(dict(WEIGHTS), precision=precision)


def scene(precision: Precision = "auto") -> Scene:
    return Scene(lambda: [Unit(ours(precision), hint(), 0.8)])


@functools.cache
def reference(precision: Precision = "auto") -> torch.Tensor:
    return on_cpu(scene(precision)).latents


def with_room_for(weight_bytes: float):
    """A GPU that has so many bytes beside those that ComfyUI keeps free."""
    return pretended_gpu(memory=int(comfy.model_management.minimum_inference_memory() + weight_bytes))


@pytest.mark.parametrize("weight_bytes", [0, 4e6], ids=["none", "a part"])
def test_weights_on_the_cpu_are_cast_layer_by_layer(weight_bytes):
    outcome = on_gpu(scene(), with_room_for(weight_bytes))
    assert distance(outcome.latents, reference()) <= 1e-5
    cast = [event for event in outcome.evaluations[1].copies if event.within("comfy/ops.py")]
    assert cast
    assert weight_bytes or any(event.within("controlnet/networks") for event in cast), "also those of the ControlNet"
    others = [event for event in outcome.evaluations[1].copies if not event.within("comfy/ops.py")]
    assert not caused_by_us(others), "nothing but weights is copied"
    assert len(caused_by_us(outcome.evaluations[1].reads)) == 1


def test_less_room_holds_less():
    whole, none = on_gpu(scene()), on_gpu(scene(), with_room_for(0))
    assert none.evaluations[1].peak < whole.evaluations[1].peak


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "fp8"])
def test_every_precision_gives_the_latents_of_the_cpu(precision):
    outcome = on_gpu(scene(precision))
    assert distance(outcome.latents, reference(precision)) <= 1e-5
    assert len(caused_by_us(outcome.evaluations[1].reads)) == 1
    assert not caused_by_us(outcome.evaluations[1].copies)


def test_all_in_half_precision_as_a_real_gpu_computes():
    """The host's own choice there; the CPU computes in float32, and rounding is all that differs."""
    outcome = on_gpu(scene(), pretended_gpu(half=True))
    assert distance(outcome.latents, reference()) <= 2e-2


def test_nothing_is_left_on_the_gpu_after_a_sampling():
    with pretended_gpu() as gpu:
        control = ours()
        before = gpu.alive
        sample(base_model("two levels"), [Unit(control, hint())], Run(steps=2))
        comfy.model_management.unload_all_models()
        assert gpu.alive - before < 50_000
