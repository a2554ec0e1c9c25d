"""Makes the hints of image files, in this process or in one of a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..preprocessors.catalogue import preprocessor_of
from ..preprocessors.description import Value
from ..preprocessors.pictures import read_picture
from ..preprocessors.running import Options, preprocess
from ..storage.writing import write_atomically

if TYPE_CHECKING:
    from torch import Tensor

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

        Raises FileNotFoundError when weights are missing, ImportError when what runs them is.
        """
        try:
            image = read_picture(source)
            hint = preprocess(self._method, image, self._networks, self._recipe.settings, self._recipe.options)
            write_image(hint.image[0], target)
        except (FileNotFoundError, ImportError):
            raise
        except Exception as error:  # of OpenCV, torch or Pillow: one picture costs one picture
            return f"{source}: {error}"
        return ""


def write_image(image: Tensor, path: Path) -> None:
    """HWC 0..1 as PNG, whole or not at all."""
    from PIL import Image

    pixels = image.clamp(0, 1).mul(255).round().byte().numpy()
    write_atomically(path, pixels.nbytes, lambda file: Image.fromarray(pixels).save(file, format="PNG"))
