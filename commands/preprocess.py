"""`zeroconv preprocess`: hints for all images of a folder."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..preprocessors.catalogue import preprocessor_of, preprocessors
from ..preprocessors.description import Value
from ..preprocessors.running import Options, preprocess
from ..preprocessors.settings_text import parse_settings
from ..preprocessors.sizes import RESULT_SIZES
from ..storage.pictures import unreadable_picture
from ..storage.writing import write_atomically
from .folders import add_folder_argument, default_folder

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")

Job = tuple[Path, Path]
"""An image and the place of its hint."""


@dataclass(frozen=True)
class Recipe:
    """How every hint of a run is made: plain values, which can be sent to another machine.

    method: id of the preprocessor. folder: of the weights.
    """

    method: str
    settings: dict[str, Value]
    options: Options
    folder: Path
    device: str


class Maker:
    """Makes hints by a recipe; its networks stay loaded in between."""

    def __init__(self, recipe: Recipe) -> None:
        from ..preprocessors.weights.local_networks import LocalNetworks

        self._recipe = recipe
        self._method = preprocessor_of(recipe.method)
        self._networks = LocalNetworks([recipe.folder], recipe.device)

    def make(self, source: Path, target: Path) -> str:
        """Write the hint of an image. Returns "", or what is wrong with the image.

        Raises FileNotFoundError when weights are missing.
        """
        try:
            image = read_image(source)
            hint = preprocess(self._method, image, self._networks, self._recipe.settings, self._recipe.options)
            write_image(hint[0], target)
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as error:
            return f"{source}: {error}"
        return ""


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


def read_image(path: Path) -> Tensor:
    """(1, H, W, 3 or 4) 0..1, turned as the camera was held. Raises ValueError for a file that is no image."""
    import numpy as np
    import torch
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as opened:
            picture = ImageOps.exif_transpose(opened)
            transparent = "A" in picture.getbands() or "transparency" in picture.info
            array = np.asarray(picture.convert("RGBA" if transparent else "RGB"), dtype=np.float32)
    except Exception as error:
        raise unreadable_picture(path, error) from error
    return torch.from_numpy(array / 255)[None]


def write_image(image: Tensor, path: Path) -> None:
    """HWC 0..1 as PNG, whole or not at all."""
    from PIL import Image

    pixels = image.clamp(0, 1).mul(255).round().byte().numpy()
    write_atomically(path, pixels.nbytes, lambda file: Image.fromarray(pixels).save(file, format="PNG"))
