"""Makes the hints of image files, in this process or in one of a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..preprocessors.catalogue import preprocessor_of
from ..preprocessors.description import Value
from ..preprocessors.running import Options, preprocess
from ..storage.pictures import unreadable_picture
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


def read_image(path: Path) -> Tensor:
    """(1, H, W, 3 or 4) 0..1, turned as the camera was held. Raises ValueError for a file that is not an image."""
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
