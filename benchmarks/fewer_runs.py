"""Measures how near fewer runs of a ControlNet come to all of them, on the small model that ships.

`python -m zeroconv.benchmarks.fewer_runs [--control canny]` prints a line for each run interval.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from safetensors.torch import load_file
from torch import Tensor

from ..controlnet.caching.run_interval import Adaptive, EveryNthStep, RunCache, RunInterval
from ..controlnet.networks.blocks import KeysValues
from ..controlnet.networks.build import build_controlnet
from ..controlnet.networks.controlnet import ControlNet, Inputs
from ..controlnet.report.difference import image_difference, latent_difference
from ..controlnet.residuals import Residuals
from ..demo.checkpoint import BASE_NAME, DECODER_NAME, WEIGHTS, control_weights
from ..demo.learning.evaluate import Control, held_out_scenes, sample_latents
from ..demo.model.narrow_model import DemoModel, load_model
from ..demo.model.pack import unpack
from ..demo.scenes.hints import HINTS
from ..demo.scenes.render import render
from ..demo.scenes.world import captions

RUN_INTERVALS: tuple[RunInterval, ...] = (*map(EveryNthStep, (1, 2, 3, 4)), *map(Adaptive, (0.1, 0.2, 0.3, 0.5)))


@dataclass(frozen=True)
class Scene:
    """The subject of a sampling: the model, a ControlNet, captions and hints (N, 3, S, S); steps of the sampler."""

    model: DemoModel
    network: ControlNet
    names: list[str]
    hints: Tensor
    steps: int


@dataclass(frozen=True)
class Nearness:
    """runs: of the network, of `steps`. latent, image: PSNR in dB against running at every step."""

    run_interval: RunInterval
    runs: int
    steps: int
    latent: float
    image: float

    def __str__(self) -> str:
        counts = f"{self.run_interval}: {self.runs} of {self.steps} runs"
        return f"{counts}, latent {self.latent:.1f} dB, image {self.image:.1f} dB"


class IntervalNetwork:
    """A network that rests at some steps; to `sample_latents` it looks like the network itself."""

    def __init__(self, network: ControlNet, run_interval: RunInterval) -> None:
        self.project_context, self.embed_hint = network.project_context, network.embed_hint
        self._network, self._run_interval, self._kept = network, run_interval, RunCache()
        self.ran: list[bool] = []

    def __call__(self, inputs: Inputs, hint: Tensor, projected: Sequence[KeysValues]) -> Residuals:
        residuals, ran = self._kept.residuals(
            "all rows",
            len(self.ran),
            self._run_interval,
            lambda: self._network(inputs, hint, projected),
            lambda value, use: use(float(value)),
        )
        self.ran.append(ran)
        return residuals


def load_scene(kind: str, count: int, steps: int = 20) -> Scene:
    """`count` scenes with captions that the model was not trained on, and their hints of a kind."""
    scenes = held_out_scenes(count)
    network = build_controlnet(unpack(load_file(control_weights(kind))))
    model = load_model(WEIGHTS / BASE_NAME, WEIGHTS / DECODER_NAME)
    return Scene(model, network, captions(scenes), HINTS[kind](render(scenes)), steps)


def measure(scene: Scene, run_intervals: Sequence[RunInterval]) -> Iterator[Nearness]:
    """How near each run interval comes; one after the other, since each samples all scenes."""
    exact = _sample(scene, scene.network)
    picture = _picture(scene, exact)
    for run_interval in run_intervals:
        network = IntervalNetwork(scene.network, run_interval)
        latents = _sample(scene, cast(ControlNet, network))
        image = image_difference(picture, _picture(scene, latents)).psnr
        yield Nearness(run_interval, sum(network.ran), len(network.ran), latent_difference(exact, latents).psnr, image)


def _sample(scene: Scene, network: ControlNet) -> Tensor:
    side = scene.hints.shape[-1] // 8
    return sample_latents(scene.model.unet, scene.names, side, Control(network, scene.hints), steps=scene.steps)


def _picture(scene: Scene, latents: Tensor) -> Tensor:
    return scene.model.decode_latents(latents).movedim(1, -1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--control", choices=tuple(HINTS), default="canny")
    parser.add_argument("--count", type=int, default=8, help="scenes (8)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for nearness in measure(load_scene(arguments.control, arguments.count), RUN_INTERVALS):
        print(nearness, flush=True)


if __name__ == "__main__":
    main()
