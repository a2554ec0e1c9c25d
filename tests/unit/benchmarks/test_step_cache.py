"""The step cache on a trained model: near to the exact result, obeying its hints, and nearer the more is computed."""

import math

import torch
from zeroconv.benchmarks.fewer_runs import load_scene
from zeroconv.benchmarks.step_cache import CachedModel, measure
from zeroconv.controlnet.caching.run_interval import EveryNthStep
from zeroconv.controlnet.caching.step_cache import METHODS, StepCacheSettings
from zeroconv.demo.learning.evaluate import held_out_scenes
from zeroconv.demo.scenes.hints import object_mask
from zeroconv.demo.scenes.render import render


def test_steps_on_kept_features_are_near_and_obey_on_the_small_model():
    scene = load_scene("canny", 1, steps=11)
    wanted = object_mask(render(held_out_scenes(1)))
    settings = [StepCacheSettings(method, EveryNthStep(n)) for method in METHODS for n in (1, 3)]
    plain, exact, *cached = measure(scene, wanted, settings)
    assert math.isinf(exact.latent)
    assert plain.latent < 30, "the control must matter for nearness to mean it"
    for whole, third in (cached[:2], cached[2:]):
        assert (whole.whole, third.whole) == (12, 4)
        assert whole.latent >= 90
        assert third.latent >= plain.latent + 8
        assert third.overlap >= exact.overlap - 0.05
    assert cached[1].latent > cached[3].latent, "deep cache computes anew what faces the noise"


def test_a_part_on_the_inputs_of_the_whole_is_the_whole():
    unet = load_scene("canny", 1).model.unet
    generator = torch.Generator().manual_seed(1)
    x, context = torch.randn(1, 4, 16, 16, generator=generator), torch.randn(1, 77, 768, generator=generator)
    times, projected = torch.tensor([400]), unet.project_context(context)
    expected = unet(x, times, projected)
    for method in METHODS:
        model = CachedModel(unet, StepCacheSettings(method, EveryNthStep(4)))
        for _ in range(3):
            assert torch.allclose(model(x, times, projected), expected, atol=1e-5)
        assert (model.cache.whole, model.cache.partial) == (1, 2)
