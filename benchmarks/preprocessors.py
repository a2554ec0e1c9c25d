"""Preprocessors beside those of controlnet-aux 0.0.10: the same weights and photographs, from pixels to hint.

Both sides start and end with ComfyUI's IMAGE, as nodes do, at the working size. The other package takes one picture of
bytes at a time and is called as its ComfyUI nodes call it; ours takes the batch. Random weights of the official
shapes; the decoding of poses reads the same made-up maps on both sides. Interleaved rounds on one thread; a ratio
below 1 means that ours is faster.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.photo import photo
from support.random_weights import random_state_dict
from support.reference_packages import controlnet_aux
from zeroconv.preprocessors.catalogue import preprocessors
from zeroconv.preprocessors.networks import hed, lineart, midas, mlsd, openpose
from zeroconv.preprocessors.pose_assembly import assemble_people
from zeroconv.preprocessors.running import Options, preprocess

Runs = tuple[Callable[[], Any], Callable[[], Any]]
"""Theirs and ours."""


def batch_of(size: int, count: int) -> Tensor:
    """Photographs, (count, size, size, 3) in 0..1; each a little darker than the one before."""
    picture = torch.from_numpy(np.array(photo(size))).float() / 255
    return torch.stack([picture * (1 - index / 32) for index in range(count)])


def compared(name: str, images: Tensor, network: nn.Module | None, theirs: Callable[[np.ndarray], Any]) -> Runs:
    """One of our methods, and what the other package calls for each picture."""
    method = preprocessors()[name]
    options = Options(chunk=1)

    def networks(row: str) -> nn.Module:
        assert network is not None
        return network

    return lambda: as_nodes_do(images, theirs), lambda: preprocess(method, images, networks, None, options)


def as_nodes_do(images: Tensor, function: Callable[[np.ndarray], np.ndarray]) -> Tensor:
    """Call a function on bytes for each picture of an IMAGE: what ComfyUI nodes around the other package do."""
    hints = [function(np.asarray(image * 255, dtype=np.uint8)) for image in images]
    return torch.stack([torch.from_numpy(hint.astype(np.float32) / 255) for hint in hints])


def canny(images: Tensor) -> Runs:
    detector = controlnet_aux("canny.__init__").CannyDetector()
    size = images.shape[1]
    return compared("canny", images, None, lambda array: detector(array, 100, 200, size, size, "np"))


def soft_edges(images: Tensor) -> Runs:
    module, weights, size = controlnet_aux("hed.__init__"), random_state_dict("hed"), images.shape[1]
    network = module.ControlNetHED_Apache2().eval()
    network.load_state_dict(weights)
    detector = module.HEDdetector(network.float())
    ours = hed.build(weights).float()
    return compared("hed", images, ours, lambda array: detector(array, size, size, output_type="np"))


def straight_lines(images: Tensor) -> Runs:
    module, weights, size = controlnet_aux("mlsd.__init__"), random_state_dict("mlsd_large"), images.shape[1]
    network = module.MobileV2_MLSD_Large().eval()
    network.load_state_dict(weights)
    detector = module.MLSDdetector(network)
    return compared(
        "mlsd",
        images,
        mlsd.build_large(weights),
        lambda array: detector(array, detect_resolution=size, image_resolution=size, output_type="np"),
    )


def line_drawing(images: Tensor) -> Runs:
    module, weights, size = controlnet_aux("lineart.__init__"), random_state_dict("lineart"), images.shape[1]
    network = module.Generator(3, 1, 3).eval()
    network.load_state_dict(weights)
    detector = module.LineartDetector(network, network)
    return compared(
        "lineart_realistic",
        images,
        lineart.build(weights),
        lambda array: detector(array, detect_resolution=size, image_resolution=size, output_type="np"),
    )


def openpose_network(images: Tensor) -> Runs:
    """The body network alone, at the 368 pixels that both give it."""
    weights = random_state_dict("openpose_body")
    controlnet_aux("open_pose.util")  # first: it and the body import each other
    theirs = controlnet_aux("open_pose.model").bodypose_model().eval()
    theirs.load_state_dict(weights)
    ours = openpose.build_body(weights)
    small = nn.functional.interpolate(images.movedim(-1, 1), size=(368, 368), mode="area")

    def each() -> list[Any]:
        with torch.no_grad():
            return [theirs(one[None].flip(1) - 0.5) for one in small]

    def together() -> list[Any]:
        with torch.inference_mode():
            return [ours(one[None]) for one in small]

    return each, together


def openpose_decoding(images: Tensor) -> Runs:
    """From the maps of the body network to people: what is left of the other package's call without its network."""
    controlnet_aux("open_pose.util")
    body_module = controlnet_aux("open_pose.body")
    heat, fields = body_maps(46)
    body = body_module.Body.__new__(body_module.Body)
    body.model = KnownMaps(fields, heat)
    size = images.shape[1]
    arrays = [np.zeros((size, size, 3), np.uint8)] * len(images)
    return (
        lambda: [body(array) for array in arrays],
        lambda: [assemble_people(fields, heat, 46, 46) for _ in arrays],
    )


class KnownMaps(nn.Module):
    """In the place of the other package's body network."""

    def __init__(self, fields: Tensor, heat: Tensor) -> None:
        super().__init__()
        self.maps = nn.Parameter(torch.cat([fields, heat])[None], requires_grad=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        size = images.shape[2] // 8, images.shape[3] // 8
        maps = nn.functional.interpolate(self.maps, size=size, mode="bilinear")
        return maps[:, :38], maps[:, 38:]


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


def depth(images: Tensor) -> Runs:
    """The network sees the picture at its own size on both sides, as the other package does it."""
    weights, size = random_state_dict("midas_dpt_hybrid"), images.shape[1]
    network = midas.build(weights)
    # The other package's network needs timm; both sides run ours, so that what is around it is compared.
    module = controlnet_aux("midas.__init__")

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                return self.network(x / 2 + 0.5)[:, 0]

    detector = module.MidasDetector(Model())
    method, options = preprocessors()["midas_depth"], Options()

    def ours() -> Tensor:
        return preprocess(method, images, lambda row: network, {"network_size": 0}, options)

    def theirs() -> Tensor:
        return as_nodes_do(
            images, lambda array: detector(array, detect_resolution=size, image_resolution=size, output_type="np")
        )

    return theirs, ours


CASES: dict[str, Callable[[Tensor], Runs]] = {
    "Canny": canny,
    "HED": soft_edges,
    "M-LSD": straight_lines,
    "line art": line_drawing,
    "OpenPose network": openpose_network,
    "OpenPose decoding": openpose_decoding,
    "MiDaS": depth,
}


def rounds(runs: Runs, count: int) -> Iterator[tuple[float, float]]:
    """Seconds of both sides, in turn; the first pair, which warms up, is left out."""
    for index in range(count + 1):
        seconds = []
        for run in runs if index % 2 else reversed(runs):
            begin = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - begin)
        if index:
            theirs, ours = seconds if index % 2 else reversed(seconds)
            yield theirs, ours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--sizes", nargs="*", type=int, default=[512, 1024])
    parser.add_argument("--batches", nargs="*", type=int, default=[1, 8])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sys.modules.setdefault("matplotlib", SimpleNamespace())  # type: ignore[arg-type]
    print(f"{'':20}{'size':>6}{'batch':>6}{'theirs s':>10}{'ours s':>10}{'ours / theirs':>28}", flush=True)
    for name in arguments.cases:
        for size in arguments.sizes:
            for count in arguments.batches:
                pairs = list(rounds(CASES[name](batch_of(size, count)), arguments.rounds))
                theirs, ours = (statistics.median(side) for side in zip(*pairs, strict=True))
                ratios = [b / a for a, b in pairs]
                spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
                print(f"{name:20}{size:6}{count:6}{theirs:10.3f}{ours:10.3f}{spread:>28}", flush=True)


if __name__ == "__main__":
    main()
