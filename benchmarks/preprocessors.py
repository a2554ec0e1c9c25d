"""Preprocessors beside those of controlnet-aux and comfyui_controlnet_aux: same weights and photographs.

Both sides start and end with ComfyUI's IMAGE, as nodes do, at the working size: the others' conversions to bytes and
back are theirs, ours are ours. The others take one picture at a time; ours takes the batch. Random weights of the
official shapes; the decoding of poses reads the same made-up maps on both sides. The halves of DWPose begin with
the picture in memory, and only comfyui_controlnet_aux has them without other packages. Interleaved rounds on one
thread, in seconds of the processor, which a busy neighbour does not lengthen; a ratio below 1 means that ours is
faster.

The folder of comfyui_controlnet_aux is given in ZEROCONV_BENCH_AUX. --memory-of measures ours alone: the peak of a
method on one large picture (--sizes 4096).
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from ..demo.photo import photo
from ..preprocessors.catalogue import preprocessors
from ..preprocessors.networks import hed, lineart, midas, mlsd, openpose, rtmpose, yolox
from ..preprocessors.pose.assembly import assemble_people
from ..preprocessors.pose.landmarks import find_landmarks, rtmpose_reader
from ..preprocessors.pose.people import find_people
from ..preprocessors.running import Options, preprocess
from .models.official_weights import random_state_dict
from .sides import annotators
from .sides.annotators import FOLDER, Annotate, Package, as_nodes_do, packages

Runs = tuple[Callable[[], Any], Callable[[], Any]]
"""Theirs and ours."""


def batch_of(size: int, count: int) -> Tensor:
    """Photographs, (count, size, size, 3) in 0..1; each a little darker than the one before."""
    picture = torch.from_numpy(np.array(photo(size))).float() / 255
    return torch.stack([picture * (1 - index / 32) for index in range(count)])


def compared(name: str, images: Tensor, network: nn.Module | None, theirs: Annotate, **settings: int) -> Runs:
    """One of our methods, and what the other package calls for each picture."""
    method = preprocessors()[name]
    options = Options(chunk=1)

    def networks(name: str) -> nn.Module:
        assert network is not None
        return network

    return lambda: as_nodes_do(images, theirs), lambda: preprocess(method, images, networks, settings, options).image


def canny(package: Package, images: Tensor) -> Runs:
    return compared("canny", images, None, annotators.canny(package, images.shape[1]))


def soft_edges(package: Package, images: Tensor) -> Runs:
    ours = hed.build(random_state_dict("hed")).float()
    return compared("hed", images, ours, annotators.soft_edges(package, images.shape[1]))


def straight_lines(package: Package, images: Tensor) -> Runs:
    ours = mlsd.build_large(random_state_dict("mlsd_large"))
    return compared("mlsd", images, ours, annotators.straight_lines(package, images.shape[1]))


def line_drawing(package: Package, images: Tensor) -> Runs:
    ours = lineart.build(random_state_dict("lineart"))
    return compared("lineart_realistic", images, ours, annotators.line_drawing(package, images.shape[1]))


def depth(package: Package, images: Tensor) -> Runs:
    """At the size at which the other package's network sees the picture: its own in controlnet-aux, else 384."""
    ours = midas.build(random_state_dict("midas_dpt_hybrid"))
    network_size = 0 if package.name == "controlnet-aux" else 384
    theirs = annotators.depth(package, images.shape[1])
    return compared("midas_depth", images, ours, theirs, network_size=network_size)


def openpose_network(package: Package, images: Tensor) -> Runs:
    """The body network alone, at the 368 pixels that both give it."""
    theirs = annotators.body_network(package)
    ours = openpose.build_body(random_state_dict("openpose_body"))
    small = nn.functional.interpolate(images.movedim(-1, 1), size=(368, 368), mode="area")

    def each() -> list[Any]:
        with torch.no_grad():
            return [theirs(one[None].flip(1) - 0.5) for one in small]

    def together() -> list[Any]:
        with torch.inference_mode():
            return [ours(one[None]) for one in small]

    return each, together


def openpose_decoding(package: Package, images: Tensor) -> Runs:
    """From the maps of the body network to people: what is left of the other package's call without its network."""
    heat, fields = body_maps(46)
    theirs = annotators.body_decoder(package, fields, heat)
    arrays = [np.zeros(images.shape[1:], np.uint8)] * len(images)
    return (
        lambda: [theirs(array) for array in arrays],
        lambda: [assemble_people(fields, heat, 46, 46) for _ in arrays],
    )


def body_maps(side: int) -> tuple[Tensor, Tensor]:
    """Maps (19, side, side) and fields (38, side, side) of four people with all parts."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    heat, fields = torch.zeros(19, side, side), torch.zeros(38, side, side)
    for person in range(4):
        corner = torch.tensor([person % 2, person // 2]) * side / 2
        for part in range(18):
            at = corner + (0.15 + 0.7 * torch.rand(2, generator=generator)) * side / 2
            heat[part] = torch.maximum(heat[part], (-((x - at[0]) ** 2 + (y - at[1]) ** 2) / 4).exp())
        fields += 0.05 * torch.rand(38, 1, 1, generator=generator)
    return heat, fields


def dwpose_people(package: Package, images: Tensor) -> Runs | None:
    """Where people are: one picture at a time on both sides, as on a processor."""
    if package.name == "controlnet-aux":
        return None
    network = yolox.build(random_state_dict("yolox_l"))
    theirs = annotators.people_finder(package, network)
    arrays = [np.asarray(image * 255, dtype=np.uint8) for image in images]

    def ours() -> list[Any]:
        with torch.inference_mode():
            return [find_people(image, network, 0.3, True) for image in images.split(1)]

    return lambda: [theirs(array) for array in arrays], ours


def dwpose_points(package: Package, images: Tensor) -> Runs | None:
    """The points of two people in each picture, whose boxes are known."""
    if package.name == "controlnet-aux":
        return None
    network = rtmpose.build(random_state_dict("dw_ll_ucoco_384"))
    size, reader = images.shape[1], rtmpose_reader(network, (384, 288))
    boxes = np.array([[0.1, 0.1, 0.4, 0.9], [0.5, 0.2, 0.9, 0.95]]) * size
    theirs = annotators.people_poser(package, network, boxes)
    arrays = [np.asarray(image * 255, dtype=np.uint8) for image in images]

    def ours() -> list[Any]:
        with torch.inference_mode():
            return [find_landmarks(image, np.zeros(2, int), boxes, reader) for image in images.split(1)]

    return lambda: [theirs(array) for array in arrays], ours


CASES: dict[str, Callable[[Package, Tensor], Runs | None]] = {
    "Canny": canny,
    "HED": soft_edges,
    "M-LSD": straight_lines,
    "line art": line_drawing,
    "OpenPose network": openpose_network,
    "OpenPose decoding": openpose_decoding,
    "MiDaS": depth,
    "DWPose people": dwpose_people,
    "DWPose points": dwpose_points,
}


def rounds(runs: Runs, count: int) -> Iterator[tuple[float, float]]:
    """Seconds of the processor on both sides, in turn; the first pair, which warms up, is left out."""
    for index in range(count + 1):
        seconds = []
        for run in runs if index % 2 else reversed(runs):
            begin = time.process_time()
            run()
            seconds.append(time.process_time() - begin)
        if index:
            theirs, ours = seconds if index % 2 else reversed(seconds)
            yield theirs, ours


def compare(arguments: argparse.Namespace) -> None:
    """Print a row for each case, package, size and batch."""
    found = packages()
    if len(found) == 1:
        print(f"comfyui_controlnet_aux is left out: {FOLDER} does not name its folder.")
    print(f"{'':20}{'beside':24}{'size':>5}{'batch':>6}{'theirs s':>10}{'ours s':>10}{'ours / theirs':>24}", flush=True)
    for name in arguments.cases:
        for size in arguments.sizes:
            for count in arguments.batches:
                for package in found:
                    runs = CASES[name](package, batch_of(size, count))
                    if runs is None:
                        continue
                    pairs = list(rounds(runs, arguments.rounds))
                    row = f"{name:20}{package.name:24}{size:5}{count:6}"
                    print(row + in_words(pairs), flush=True)


def in_words(pairs: list[tuple[float, float]]) -> str:
    theirs, ours = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratios = [b / a for a, b in pairs]
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    return f"{theirs:10.3f}{ours:10.3f}{spread:>24}"


def measure_memory(arguments: argparse.Namespace) -> None:
    """Print the peak of each method on one picture, in a process of its own."""
    for method in arguments.memory_of:
        for size in arguments.sizes:
            command = [sys.executable, "-m", f"{__package__}.peak_memory", method, str(size)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            print(f"{method:20}{size:6} px {done.stdout.strip()}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--sizes", nargs="*", type=int, default=[512, 1024])
    parser.add_argument("--batches", nargs="*", type=int, default=[1, 8])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory-of", nargs="+", metavar="METHOD", help="measure the memory of these methods instead")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    (measure_memory if arguments.memory_of else compare)(arguments)


if __name__ == "__main__":
    main()
