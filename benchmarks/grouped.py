"""Would a chain gain by evaluating its networks together? On one thread of the CPU, the two ways taking turns.

Networks of equal shape but other weights: their layers as one grouped convolution or one batched product. One network
with two hints: both as one batch, which reads the weights once. A number below 1 means that together is faster.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import nn

from ..comfy_client.server import comfyui_directory
from ..controlnet.networks.build import build_controlnet
from ..controlnet.networks.controlnet import Inputs
from ..host.start import start_comfyui
from .measuring.timing import Spread, paired

start_comfyui(comfyui_directory())

from .models.random_models import Models

LEVELS = ((320, 1), (640, 2), (1280, 4), (1280, 8))
"""Channels of SD1.5, and how many latent points a point stands for, along each side."""
NETWORKS = 3


def compare(apart: Callable[[], object], together: Callable[[], object], rounds: int) -> Spread:
    """Seconds of the processor together by those apart; the first round, which warms up, is left out."""
    seconds: list[list[float]] = [[], []]
    for index in range(rounds + 1):
        for run, own in zip((apart, together), seconds, strict=True):
            begin = time.process_time()
            run()
            if index:
                own.append(time.process_time() - begin)
    return paired(seconds[1], seconds[0])


def convolutions(channels: int, side: int, rounds: int) -> Spread:
    """A 3x3 convolution of each network, on cond and uncond."""
    weights, x = torch.randn(NETWORKS, channels, channels, 3, 3), torch.randn(2, NETWORKS, channels, side, side)
    own, every, picture = x.unbind(1), weights.flatten(0, 1), x.flatten(1, 2)
    own = [values.contiguous() for values in own]
    return compare(
        lambda: [nn.functional.conv2d(values, w, padding=1) for values, w in zip(own, weights, strict=True)],
        lambda: nn.functional.conv2d(picture, every, padding=1, groups=NETWORKS),
        rounds,
    )


def products(channels: int, side: int, rounds: int) -> Spread:
    """The first projection of each network's feed-forward part, on cond and uncond."""
    weights, tokens = torch.randn(NETWORKS, 8 * channels, channels), torch.randn(NETWORKS, 2 * side * side, channels)
    return compare(
        lambda: [nn.functional.linear(values, w) for values, w in zip(tokens, weights, strict=True)],
        lambda: torch.bmm(tokens, weights.transpose(1, 2)),
        rounds,
    )


def one_network(latent: int, rounds: int) -> Spread:
    """A whole step of SD1.5's network with two hints, cond and uncond sharing what they can."""
    network = build_controlnet(Models("SD1.5", 320).control)
    x, time_of = torch.randn(1, 4, latent, latent), torch.full((1,), 500.0)
    hints = [network.embed_hint(torch.rand(1, 3, 8 * latent, 8 * latent)) for _ in range(2)]
    projected = network.project_context(torch.randn(2, 77, 768))
    doubled = [(keys.repeat_interleave(2, 0), values.repeat_interleave(2, 0)) for keys, values in projected]

    def inputs(rows: int) -> Inputs:
        return Inputs(x.repeat(rows, 1, 1, 1), time_of.repeat(rows), groups=2, shared=True, uniform_time=True)

    return compare(
        lambda: [network(inputs(2), hint, projected) for hint in hints],
        lambda: network(inputs(4), torch.cat(hints), doubled),
        rounds,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latents", nargs="*", type=int, default=[16, 32, 64], help="latent sides (64: 512 px)")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with torch.inference_mode():
        for latent in arguments.latents:
            for channels, step in LEVELS:
                for name, work in (("convolution", convolutions), ("product", products)):
                    spread = work(channels, latent // step, arguments.rounds)
                    print(f"{8 * latent:5} px  {NETWORKS} networks, {channels:4} channels, {name:12}{in_words(spread)}")
            spread = one_network(latent, arguments.rounds)
            print(f"{8 * latent:5} px  {'one network, two hints':41}{in_words(spread)}", flush=True)


def in_words(spread: Spread) -> str:
    return f"{spread.median:.2f} ({spread.least:.2f} to {spread.greatest:.2f})"


if __name__ == "__main__":
    main()
