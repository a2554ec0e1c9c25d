"""`zeroconv preprocess`: hints for all images of a folder, on all cores or GPUs of this machine, or over a Ray cluster.

Hints that are there already are left alone, so the same line goes on after a stop.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NoReturn

from ..datasets.folder_listing import FolderListing, Survey
from ..datasets.hint_files import FAST, FORMATS, HintFormat
from ..datasets.hint_maker import Recipe
from ..datasets.pipeline import Extent
from ..datasets.workers import core_count, make_hints
from ..preprocessors.catalogue import preprocessor_of, preprocessors
from ..preprocessors.depth_files import DEPTH_FORMATS, DepthFileFormat, DepthFormat
from ..preprocessors.depth_maps import FIXED, PER_BATCH
from ..preprocessors.description import Preprocessor, Settings
from ..preprocessors.running import Options
from ..preprocessors.settings_text import parse_settings
from ..preprocessors.sizes import RESULT_SIZES
from ..storage.names import printable
from . import STOPPED
from .folders import add_folder_argument, default_folder
from .progress_bar import ProgressBar

IMAGES_A_PROCESS = {False: 128, True: 8}
"""A process takes seconds to start: it is worth so many images, without networks and with them."""
NETWORK_CORES = 4
"""Cores of one process with networks on the CPU: more processes would each hold the weights."""
GPU_BATCH = 16


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser("preprocess", help="make hints of a folder of images", description=__doc__)
    parser.add_argument("method", help=f"one of: {', '.join(preprocessors())}")
    parser.add_argument("--input", type=Path, required=True, metavar="DIR", help="images, folders in it too")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="hints, in the same folders")
    parser.add_argument("--resolution", type=int, default=0, help="of the shorter side; 0 = each image's own (default)")
    parser.add_argument("--result-size", choices=RESULT_SIZES, default="processing", help="size of the hints")
    parser.add_argument("--set", default="", metavar="NAME=VALUE,...", help="settings of the method")
    parser.add_argument("--format", choices=FORMATS, default="png", help="png (default) and webp keep every value")
    parser.add_argument(
        "--depth",
        choices=DEPTH_FORMATS,
        help="write raw depth in place of hints: exr in float32; png16 from each picture's smallest value to its "
        "largest, or between near and far with --set normalize=fixed,near=...,far=...; png16-mm in millimeters",
    )
    parser.add_argument(
        "--effort", type=int, default=FAST, metavar="0..9", help="spent on small files; 1 (default) is the fastest"
    )
    parser.add_argument(
        "--device", default="cpu", help="where networks run: cpu (default), cuda (all GPUs), cuda:0, mps"
    )
    parser.add_argument("--batch", type=int, default=0, help="images of one size that a network takes at once")
    parser.add_argument(
        "--jobs",
        type=int,
        default=0,
        help=f"processes (default: the cores; a {NETWORK_CORES}th of them for networks on the CPU; the GPUs)",
    )
    parser.add_argument("--failures", type=Path, metavar="FILE", help="write what failed there, a JSON object a line")
    parser.add_argument("--overwrite", action="store_true", help="make hints again that are there already")
    parser.add_argument(
        "--ray",
        type=int,
        nargs="?",
        const=0,
        metavar="WORKERS",
        help="spread the images over a Ray cluster (RAY_ADDRESS, else this machine), which must see the same folders; "
        "as many workers as it has processors, or GPUs with --device cuda, unless told otherwise",
    )
    add_folder_argument(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Return 0 when every image has its hint, 1 when some could not be read or processed, 130 after Ctrl+C.

    Raises ValueError when there is nothing to do: no folder, no images, a method that needs more than an image.
    """
    method = preprocessor_of(args.method)
    if method.takes_mask:
        raise ValueError(f"{method.label} needs a mask, which only its node takes.")
    settings = method.settings(parse_settings(method, args.set))
    if settings.get("normalize") == PER_BATCH:
        raise ValueError(
            "normalize is 'per batch', but the images of a folder come one by one. For one scale give it yourself: "
            "--set normalize=fixed,near=...,far=..."
        )
    recipe = Recipe(
        method.id,
        settings,
        Options(args.resolution, args.result_size),
        args.folder or default_folder(),
        args.device,
        HintFormat(args.format, args.effort) if args.depth is None else _depth_format(args.depth, method, settings),
    )
    listing = FolderListing(args.input, args.output, recipe.format.suffix)
    survey = listing.survey()
    total = survey.pictures - (0 if args.overwrite else survey.there)
    with _failures_file(args.failures) as file:
        tally = _Tally(ProgressBar(total, "images"), file)
        try:
            _make_all(args, method, recipe, listing, tally, total)
        except KeyboardInterrupt:
            _end_at_once(tally, total)
        finally:
            tally.close()
    return _summary(survey, tally, survey.pictures - total)


def _depth_format(name: DepthFormat, method: Preprocessor, settings: Settings) -> DepthFileFormat:
    """Raises ValueError for a method without depth, or whose depth is not in metres where the format is."""
    if method.depth is None or (name == "png16-mm" and method.depth != "meters"):
        able = [
            each for each in preprocessors().values() if each.depth and (name != "png16-mm" or each.depth == "meters")
        ]
        needed = "depth" if method.depth is None else "depth in meters"
        raise ValueError(f"{method.label} gives no {needed}. Methods that do: {', '.join(each.id for each in able)}.")
    if settings["normalize"] != FIXED:
        return DepthFileFormat(name)
    near, far = float(settings["near"]), float(settings["far"])
    return DepthFileFormat(name, (min(near, far), max(near, far)))


class _Tally:
    """Counts hints and failures as they come, and tells them."""

    def __init__(self, bar: ProgressBar, failures: IO[str] | None) -> None:
        self.made = self.failed = 0
        self._bar, self._failures = bar, failures
        self._lock = threading.Lock()

    def report(self, source: str, problem: str) -> None:
        """Called for every image, in any thread; problem: "" for a hint that was made."""
        with self._lock:
            if problem:
                self.failed += 1
                text = problem if os.path.basename(source) in problem else f"{source}: {problem}"
                self._bar.say(printable(text))
                if self._failures is not None:
                    entry = {"file": printable(source), "problem": printable(problem)}
                    self._failures.write(f"{json.dumps(entry, ensure_ascii=False)}\n")
                    self._failures.flush()
            else:
                self.made += 1
        self._bar.advance(failed=bool(problem))

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()


def _make_all(
    args: argparse.Namespace, method: Preprocessor, recipe: Recipe, listing: FolderListing, tally: _Tally, total: int
) -> None:
    jobs = listing.jobs(args.overwrite)
    if args.ray is not None:
        from ..datasets.cluster import make_over_cluster

        make_over_cluster(recipe, list(jobs), args.ray, tally.report)
        return
    count = args.jobs or _process_count(method, args.device, total)
    threads = max(1, core_count() // count) + 1
    batch = args.batch or (1 if args.device == "cpu" else GPU_BATCH)
    make_hints(recipe, jobs, count, Extent(threads, batch), tally.report, threading.Event())


def _process_count(method: Preprocessor, device: str, total: int) -> int:
    """As many as gain something; one for few images."""
    has_networks = bool(method.weights)
    if has_networks and device != "cpu":
        import torch

        most = torch.cuda.device_count() if device == "cuda" else 1
    else:
        most = core_count() // (NETWORK_CORES if has_networks else 1)
    return max(1, min(most, total // IMAGES_A_PROCESS[has_networks]))


@contextmanager
def _failures_file(path: Path | None) -> Iterator[IO[str] | None]:
    if path is None:
        yield None
        return
    with path.open("w", encoding="utf-8") as file:
        yield file


def _end_at_once(tally: _Tally, total: int) -> NoReturn:
    """Say how to go on, and end without waiting for threads that are in the middle of an image."""
    left = total - tally.made - tally.failed
    tally.close()
    print(f"Stopped: {tally.made} made, {left} left. The same command goes on from here.", file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(STOPPED)


def _summary(survey: Survey, tally: _Tally, there: int) -> int:
    print(f"{tally.made} made, {there} there already, {tally.failed} failed")
    if survey.others:
        print(f"{survey.others.total()} other files left alone ({', '.join(sorted(survey.others))})")
    for problem in survey.unreadable:
        print(problem, file=sys.stderr)
    return 1 if tally.failed or survey.unreadable else 0
