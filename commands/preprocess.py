"""`zeroconv preprocess`: hints for all images of a folder."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..preprocessors.catalogue import preprocessor_of, preprocessors
from ..preprocessors.description import Networks, Preprocessor, Value
from ..preprocessors.running import Options, preprocess
from ..preprocessors.settings_text import parse_settings
from ..preprocessors.sizes import RESULT_SIZES
from .folders import add_folder_argument, default_folder

if TYPE_CHECKING:
    from torch import Tensor

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
    add_folder_argument(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Return 0 when every image has its hint, 1 when some could not be read or processed."""
    from ..preprocessors.local_networks import LocalNetworks

    method = preprocessor_of(args.method)
    settings = method.settings(parse_settings(method, args.set))
    networks = LocalNetworks([args.folder or default_folder()], args.device)
    options = Options(args.resolution, args.result_size)
    made, skipped, failed = 0, 0, []
    for source, target in _jobs(args.input, args.output):
        if target.exists() and not args.overwrite:
            skipped += 1
            continue
        try:
            _process(method, source, target, settings, networks, options)
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as error:
            failed.append(f"{source}: {error}")
        else:
            made += 1
    print(f"{made} made, {skipped} there already, {len(failed)} failed")
    for failure in failed:
        print(failure, file=sys.stderr)
    return 1 if failed else 0


def _jobs(source: Path, target: Path) -> Iterator[tuple[Path, Path]]:
    """(image, its hint), sorted. `a.png` and `a.jpg` would share a hint: then the suffix becomes part of the name."""
    images = sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    stems = Counter(path.with_suffix("") for path in images)
    for image in images:
        name = f"{image.name}.png" if stems[image.with_suffix("")] > 1 else f"{image.stem}.png"
        yield image, target / image.parent.relative_to(source) / name


def _process(
    method: Preprocessor,
    source: Path,
    target: Path,
    settings: dict[str, Value],
    networks: Networks,
    options: Options,
) -> None:
    hint = preprocess(method, read_image(source), networks, settings, options)
    write_image(hint[0], target)


def read_image(path: Path) -> Tensor:
    """(1, H, W, 3 or 4) 0..1, turned as the camera was held. Raises OSError for a file that is no image."""
    import numpy as np
    import torch
    from PIL import Image, ImageOps

    with Image.open(path) as opened:
        picture = ImageOps.exif_transpose(opened)
        transparent = "A" in picture.getbands() or "transparency" in picture.info
        array = np.asarray(picture.convert("RGBA" if transparent else "RGB"), dtype=np.float32)
    return torch.from_numpy(array / 255)[None]


def write_image(image: Tensor, path: Path) -> None:
    """HWC 0..1 as PNG, whole or not at all."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    pixels = image.clamp(0, 1).mul(255).round().byte().numpy()
    Image.fromarray(pixels).save(part, format="PNG")
    part.replace(path)
