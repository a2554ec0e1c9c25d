"""`zeroconv preprocess`: hints for all images of a folder."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..preprocessors.catalogue import preprocessor_of, preprocessors
from ..preprocessors.running import Options
from ..preprocessors.settings_text import parse_settings
from ..preprocessors.sizes import RESULT_SIZES
from .folders import add_folder_argument, default_folder
from .hint_maker import Job, Maker, Recipe

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser("preprocess", help="make hints of a folder of images", description=__doc__)
    parser.add_argument("method", help=f"one of: {', '.join(preprocessors())}")
    parser.add_argument("--input", type=Path, required=True, metavar="DIR", help="images, folders in it too")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="hints, as PNG in the same folders")
    parser.add_argument("--resolution", type=int, default=0, help="of the shorter side; 0 = each image's own (default)")
    parser.add_argument("--result-size", choices=RESULT_SIZES, default="processing", help="size of the hints")
    parser.add_argument("--set", default="", metavar="NAME=VALUE,...", help="settings of the method")
    parser.add_argument("--device", default="cpu", help="where networks run: cpu (default), cuda, mps")
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
    """Return 0 when every image has its hint, 1 when some could not be read or processed."""
    method = preprocessor_of(args.method)
    recipe = Recipe(
        method.id,
        method.settings(parse_settings(method, args.set)),
        Options(args.resolution, args.result_size),
        args.folder or default_folder(),
        args.device,
    )
    jobs = list(_jobs(args.input, args.output))
    missing = [(source, target) for source, target in jobs if args.overwrite or not target.exists()]
    failed = [failure for failure in _make_all(recipe, missing, args.ray) if failure]
    print(f"{len(missing) - len(failed)} made, {len(jobs) - len(missing)} there already, {len(failed)} failed")
    for failure in failed:
        print(failure, file=sys.stderr)
    return 1 if failed else 0


def _make_all(recipe: Recipe, jobs: Sequence[Job], workers: int | None) -> Iterator[str]:
    """What is wrong with each image, "" for a hint that was made. workers: of a Ray cluster, None for this process."""
    if workers is None:
        maker = Maker(recipe)
        return (maker.make(source, target) for source, target in jobs)
    from .cluster import make_over_cluster

    return make_over_cluster(recipe, jobs, workers)


def _jobs(source: Path, target: Path) -> Iterator[Job]:
    """(image, its hint), sorted. `a.png` and `a.jpg` would share a hint: then the suffix becomes part of the name."""
    images = sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    stems = Counter(path.with_suffix("") for path in images)
    for image in images:
        name = f"{image.name}.png" if stems[image.with_suffix("")] > 1 else f"{image.stem}.png"
        yield image, target / image.parent.relative_to(source) / name
