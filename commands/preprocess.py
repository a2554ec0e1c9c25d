"""`zeroconv preprocess`: hints for all images of a folder."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..preprocessors.catalogue import preprocessor_of, preprocessors
from ..preprocessors.running import Options
from ..preprocessors.settings_text import parse_settings
from ..preprocessors.sizes import RESULT_SIZES
from ..storage.writing import remove_abandoned_parts
from .folders import add_folder_argument, default_folder
from ..datasets.hint_maker import Job, Maker, Recipe

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
    """Return 0 when every image has its hint, 1 when some could not be read or processed.

    Raises ValueError when there is nothing to do: no folder, no images, a method that needs more than an image.
    """
    method = preprocessor_of(args.method)
    if method.takes_mask:
        raise ValueError(f"{method.label} needs a mask, which only its node takes.")
    recipe = Recipe(
        method.id,
        method.settings(parse_settings(method, args.set)),
        Options(args.resolution, args.result_size),
        args.folder or default_folder(),
        args.device,
    )
    found = _find(args.input, args.output)
    jobs = _jobs(found.pictures, args.input, args.output)
    for folder in {target.parent for _, target in jobs}:
        remove_abandoned_parts(folder)
    missing = [(source, target) for source, target in jobs if args.overwrite or not target.exists()]
    failed = [failure for failure in _make_all(recipe, missing, args.ray) if failure]
    print(f"{len(missing) - len(failed)} made, {len(jobs) - len(missing)} there already, {len(failed)} failed")
    if found.others:
        suffixes = ", ".join(sorted({path.suffix.lower() or "no suffix" for path in found.others}))
        print(f"{len(found.others)} other files left alone ({suffixes})")
    for failure in (*failed, *found.unreadable):
        print(failure, file=sys.stderr)
    return 1 if failed or found.unreadable else 0


def _make_all(recipe: Recipe, jobs: Sequence[Job], workers: int | None) -> Iterator[str]:
    """What is wrong with each image, "" for a hint that was made. workers: of a Ray cluster, None for this process."""
    if workers is None:
        maker = Maker(recipe)
        return (maker.make(source, target) for source, target in jobs)
    from ..datasets.cluster import make_over_cluster

    return make_over_cluster(recipe, jobs, workers)


@dataclass(frozen=True)
class Found:
    """What lies in a folder: pictures, files of other kinds, and folders that could not be listed."""

    pictures: list[Path]
    others: list[Path]
    unreadable: list[str]


def _find(source: Path, target: Path) -> Found:
    """All files in `source` and the folders in it, sorted; not those of `target`, where hints go.

    Raises ValueError where there is no picture, and where hints would lie in the folder of the pictures.
    """
    if not source.is_dir():
        problem = "is a file; --input takes the folder that it is in" if source.exists() else "is not there"
        raise ValueError(f"--input {source} {problem}.")
    if target.exists() and target.samefile(source):
        raise ValueError(f"--output is the folder of the images, {source}: their hints need another folder.")
    unreadable: list[str] = []
    files: list[Path] = []
    for name, folders, names in os.walk(source, onerror=lambda error: unreadable.append(str(error))):
        folder = Path(name)
        folders[:] = [each for each in folders if not (target.exists() and target.samefile(folder / each))]
        files += [folder / each for each in names]
    pictures = sorted(path for path in files if path.suffix.lower() in SUFFIXES)
    others = sorted(path for path in files if path.suffix.lower() not in SUFFIXES)
    if not pictures:
        raise ValueError(f"--input {source} holds no images; {', '.join(SUFFIXES)} are read.")
    return Found(pictures, others, unreadable)


def _jobs(pictures: Sequence[Path], source: Path, target: Path) -> list[Job]:
    """Every image with the place of its hint, `a.png` for `a.jpg`.

    Where images would share a hint, their suffix becomes part of its name: `a.jpg.png`. Names that differ in case
    only count as equal, since on many disks they are. Raises ValueError where a hint would replace an image.
    """
    relative = [path.relative_to(source) for path in pictures]
    hints = [path.with_suffix(".png") for path in relative]
    while True:
        shared = {name for name, count in Counter(str(hint).casefold() for hint in hints).items() if count > 1}
        longer = [
            path.with_name(f"{path.name}.png") if str(hint).casefold() in shared else hint
            for path, hint in zip(relative, hints, strict=True)
        ]
        if longer == hints:
            break
        hints = longer
    jobs = [(picture, target / hint) for picture, hint in zip(pictures, hints, strict=True)]
    originals = {picture.resolve() for picture in pictures}
    for picture, hint in jobs:
        if hint.resolve() in originals:
            raise ValueError(f"The hint of {picture} would replace the image {hint}: choose another --output.")
    return jobs
