"""Hints of a folder beside the shortest script that one would write instead, from file to file.

Canny beside a loop over OpenCV, HED and MiDaS beside controlnet-aux's own class in a loop (random weights of the
official shapes). Interleaved rounds in one process on one thread, in seconds of the processor for a picture; a ratio
above 1 means that ours is faster.

--many COUNT measures ours alone on so many small pictures: memory at a quarter, half and end, and what a run costs
that finds everything done.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from ..datasets.folder_listing import FolderListing
from ..datasets.hint_maker import Maker, Recipe
from ..datasets.pipeline import Extent, Pipeline
from ..demo.photo import photo
from ..preprocessors.catalogue import preprocessors
from ..preprocessors.networks import hed, midas
from ..preprocessors.running import Options
from .models.official_weights import random_state_dict
from .sides import annotators
from .sides.annotators import Annotate, packages

Side = Callable[[Path, Path], None]
"""Makes the hints of all pictures of a folder in another, which is empty."""


def opencv_loop(source: Path, target: Path) -> None:
    """The six lines that a user would write."""
    for path in sorted(source.iterdir()):
        picture = cv2.imread(str(path))
        assert picture is not None
        cv2.imwrite(str(target / f"{path.stem}.png"), cv2.Canny(picture, 100, 200))


def class_loop(annotate: Annotate) -> Side:
    """The same with a class of controlnet-aux: its examples open and save by Pillow."""
    from PIL import Image

    def run(source: Path, target: Path) -> None:
        for path in sorted(source.iterdir()):
            hint = annotate(np.array(Image.open(path).convert("RGB")))
            Image.fromarray(hint).save(target / f"{path.stem}.png")

    return run


def ours(method: str, network: nn.Module | None = None, **settings: int) -> Side:
    """The work of `zeroconv preprocess METHOD --jobs 1`."""
    recipe = Recipe(method, preprocessors()[method].settings(settings), Options(), Path(), "cpu")

    def networks(name: str) -> nn.Module:
        assert network is not None
        return network

    def report(source: str, problem: str) -> None:
        assert not problem, problem

    def run(source: Path, target: Path) -> None:
        listing = FolderListing(source, target)
        listing.survey()
        Pipeline(Maker(recipe, networks=networks), Extent(), report, threading.Event()).run(listing.jobs())

    return run


def sides(case: str, size: int) -> tuple[Side, Side]:
    """Theirs and ours."""
    if case == "canny":
        return opencv_loop, ours("canny")
    package = packages()[0]
    if case == "hed":
        network = hed.build(random_state_dict("hed")).float()
        return class_loop(annotators.soft_edges(package, size)), ours("hed", network)
    network = midas.build(random_state_dict("midas_dpt_hybrid"))
    return class_loop(annotators.depth(package, size)), ours("midas_depth", network, network_size=0)


def photographs(folder: Path, count: int, size: int, suffix: str) -> None:
    """Photographs of one size, each a little darker than the one before."""
    folder.mkdir()
    picture = np.array(photo(size))[..., ::-1]
    for number in range(count):
        darker = (picture * (1 - number / (2 * count))).round().astype(np.uint8)
        cv2.imwrite(str(folder / f"{number:07}{suffix}"), darker)


def rounds(pair: tuple[Side, Side], source: Path, count: int) -> Iterator[tuple[float, float]]:
    """Seconds a picture on both sides, in turn; the first pair, which warms up, is left out."""
    pictures = sum(1 for _ in source.iterdir())
    for index in range(count + 1):
        seconds = [0.0, 0.0]
        for side in (0, 1) if index % 2 else (1, 0):
            with tempfile.TemporaryDirectory() as target:
                begin = time.process_time()
                pair[side](source, Path(target))
                seconds[side] = (time.process_time() - begin) / pictures
        if index:
            yield seconds[0], seconds[1]


def compare(arguments: argparse.Namespace) -> None:
    """Print a row for each case, size and kind of file."""
    print(f"{'':8}{'files':8}{'px':>5}{'theirs ms':>12}{'ours ms':>10}{'theirs / ours':>24}", flush=True)
    for case in arguments.cases:
        for size in arguments.sizes:
            for suffix in arguments.suffixes:
                with tempfile.TemporaryDirectory() as folder:
                    source = Path(folder) / "in"
                    photographs(source, arguments.pictures, size, suffix)
                    pairs = list(rounds(sides(case, size), source, arguments.rounds))
                theirs, own = (1000 * statistics.median(side) for side in zip(*pairs, strict=True))
                ratios = [a / b for a, b in pairs]
                spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
                print(f"{case:8}{suffix:8}{size:5}{theirs:12.2f}{own:10.2f}{spread:>24}", flush=True)


def resident_megabytes(process: int) -> float:
    """Memory of a process, as Linux tells it."""
    for line in Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def measure_many(count: int, jobs: int) -> None:
    """Print memory and times of a run over very many small pictures, and of the next, which finds all done."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in", Path(folder) / "out"
        source.mkdir()
        _, content = cv2.imencode(".png", np.array(photo(32)))
        for number in range(count):
            (source / f"{number:07}.png").write_bytes(content.tobytes())
        command = [sys.executable, "-m", "zeroconv", "preprocess", "threshold", "--jobs", str(jobs)]
        command += ["--input", str(source), "--output", str(target)]
        begin = time.monotonic()
        process = subprocess.Popen(command)
        shares, memory = [0.25, 0.5, 0.95], []
        while process.poll() is None:
            time.sleep(0.05)
            done = sum(1 for _ in target.iterdir()) if target.exists() else 0
            if len(memory) < len(shares) and done >= shares[len(memory)] * count:
                memory.append(resident_megabytes(process.pid))
        seconds = time.monotonic() - begin
        begin = time.monotonic()
        subprocess.run(command, check=True)
        again = time.monotonic() - begin
    shown = ", ".join(f"{share:.0%} {size:.0f} MB" for share, size in zip(shares, memory, strict=False))
    print(f"{count} pictures: {count / seconds:.0f} a second; memory at {shown}; the next run ends in {again:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="*", choices=["canny", "hed", "depth"], default=["canny", "hed", "depth"])
    parser.add_argument("--sizes", nargs="*", type=int, default=[512, 768])
    parser.add_argument("--suffixes", nargs="*", default=[".jpg", ".png"])
    parser.add_argument("--pictures", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--many", type=int, metavar="COUNT", help="measure so many small pictures instead")
    parser.add_argument("--jobs", type=int, default=1, help="processes of --many")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if arguments.many:
        measure_many(arguments.many, arguments.jobs)
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
