"""Measures how near a step cache comes to computing every step whole, on the small model that ships.

`python -m zeroconv.benchmarks.step_cache [--control canny]` prints a line for each setting, and one for no control.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn

from ..controlnet.caching.run_interval import EveryNthStep
from ..controlnet.caching.step_cache import METHODS, Features, Method, StepCache, StepCacheSettings
from ..controlnet.networks.blocks import KeysValues, Pass
from ..controlnet.networks.layers import timestep_embedding
from ..controlnet.report.difference import image_difference, latent_difference
from ..controlnet.residuals import Residuals
from ..demo.learning.evaluate import Control, held_out_scenes, sample_latents
from ..demo.model.unet import BaseModel
from ..demo.scenes.hints import HINTS, object_mask
from ..demo.scenes.measures import agreement
from ..demo.scenes.measures import object_mask as seen_mask
from ..demo.scenes.render import render
from .fewer_runs import Scene, load_scene

SETTINGS = tuple(StepCacheSettings(method, EveryNthStep(n)) for method in METHODS for n in (2, 3, 4, 5))


@dataclass(frozen=True)
class CachedSampling:
    """whole: steps computed whole, of `steps`. latent, image: PSNR in dB against all of them whole.

    overlap: mean IoU (0..1) of the objects in the pictures with those of the hints.
    """

    name: str
    whole: int
    steps: int
    latent: float
    image: float
    overlap: float

    def __str__(self) -> str:
        nearness = f"latent {self.latent:.1f} dB, image {self.image:.1f} dB"
        return f"{self.name}: {self.whole} of {self.steps} steps whole, {nearness}, IoU {self.overlap:.3f}"


class CachedModel:
    """The small model with a step cache; to `sample_latents` it looks like the model itself."""

    def __init__(self, model: BaseModel, settings: StepCacheSettings) -> None:
        self.project_context = model.project_context
        self.cache: StepCache[Features] = StepCache(settings.run_interval)
        self._model, self._step = model, 0
        self._method: Method = settings.method

    def __call__(
        self, x: Tensor, timesteps: Tensor, projected: Sequence[KeysValues], residuals: Residuals | None = None
    ) -> Tensor:
        model = self._model
        emb = model.time_embed(timestep_embedding(timesteps, model.shape.channels))
        flow = Pass(nn.functional.silu(emb), projected, x.shape[0])
        self.cache.begin(self._step, inside=True)
        self._step += 1
        return self.cache.run(
            "all rows",
            lambda: _whole(model, x, flow, residuals, self._method),
            lambda features: _part(model, x, flow, features),
        )


def _whole(
    model: BaseModel, x: Tensor, flow: Pass, residuals: Residuals | None, method: Method
) -> tuple[Tensor, Features]:
    skips = [model.input_blocks[0](x)]
    for block in model.input_blocks[1:]:
        skips.append(block(skips[-1], flow))
    h = model.middle_block(skips[-1], flow)
    residual = None
    if residuals is not None:
        h, residual = h + residuals.middle[0], residuals.output[0]
        skips = [skip + extra for skip, extra in zip(skips, residuals.output, strict=True)]
    if method == "encoder propagation":
        features = Features(h, tuple(skips))
        return _decode(model, features, flow), features
    for block, skip in zip(model.output_blocks[:-1], reversed(skips), strict=False):
        h = block(torch.cat([h, skip], 1), flow)
    return _decode(model, Features(h, (skips[0],)), flow), Features(h, residual=residual)


def _part(model: BaseModel, x: Tensor, flow: Pass, features: Features) -> Tensor:
    if features.skips:
        return _decode(model, features, flow)
    skip = model.input_blocks[0](x)
    if features.residual is not None:
        skip = skip + features.residual
    return _decode(model, replace(features, skips=(skip,)), flow)


def _decode(model: BaseModel, features: Features, flow: Pass) -> Tensor:
    """The decoder's last blocks, as many as there are skips."""
    h = features.h
    for block, skip in zip(model.output_blocks[-len(features.skips) :], reversed(features.skips), strict=True):
        h = block(torch.cat([h, skip], 1), flow)
    return model.out(h)


def measure(scene: Scene, wanted: Tensor, settings: Sequence[StepCacheSettings]) -> Iterator[CachedSampling]:
    """No control, every step whole, then each setting. wanted: masks (N, S, S) of the objects that the hints show."""
    control = Control(scene.network, scene.hints)
    exact = _sample(scene, scene.model.unet, control)

    def told(name: str, whole: int, latents: Tensor) -> CachedSampling:
        picture = scene.model.decode_latents(latents)
        image = image_difference(exact_picture.movedim(1, -1), picture.movedim(1, -1)).psnr
        overlap = agreement(seen_mask(picture), wanted).mean().item()
        return CachedSampling(name, whole, steps, latent_difference(exact, latents).psnr, image, overlap)

    exact_picture, steps = scene.model.decode_latents(exact), scene.steps + 1
    yield told("no control", steps, _sample(scene, scene.model.unet, None))
    yield told("every step whole", steps, exact)
    for setting in settings:
        model = CachedModel(scene.model.unet, setting)
        latents = _sample(scene, cast(BaseModel, model), control)
        yield told(f"{setting.method}, every {setting.run_interval.n}", model.cache.whole, latents)


def _sample(scene: Scene, model: BaseModel, control: Control | None) -> Tensor:
    return sample_latents(model, scene.names, scene.hints.shape[-1] // 8, control, steps=scene.steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--control", choices=tuple(HINTS), default="canny")
    parser.add_argument("--count", type=int, default=8, help="scenes (8)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    wanted = object_mask(render(held_out_scenes(arguments.count)))
    for sampling in measure(load_scene(arguments.control, arguments.count), wanted, SETTINGS):
        print(sampling, flush=True)


if __name__ == "__main__":
    main()
