"""Fewer runs on a trained model: near to the exact result, and nearer the more it runs."""

import math

from zeroconv.benchmarks.fewer_runs import load_scene, measure
from zeroconv.controlnet.caching.run_interval import Adaptive, EveryNthStep
from zeroconv.controlnet.report.difference import latent_difference
from zeroconv.demo.learning.evaluate import Control, sample_latents


def test_fewer_runs_are_near_on_the_small_model():
    scene = load_scene("canny", 1, steps=11)
    exact, half, third, adaptive = measure(scene, [EveryNthStep(1), EveryNthStep(2), EveryNthStep(3), Adaptive(0.3)])
    assert (exact.runs, half.runs, third.runs) == (12, 6, 4)
    assert math.isinf(exact.latent)
    assert half.latent >= 45
    assert third.latent >= 40
    assert adaptive.runs <= 9
    assert adaptive.latent >= 40
    side = scene.hints.shape[-1] // 8
    with_control, without = (
        sample_latents(scene.model.unet, scene.names, side, control, steps=scene.steps)
        for control in (Control(scene.network, scene.hints), None)
    )
    assert latent_difference(with_control, without).psnr < 30, "the control must matter for nearness to mean it"
