"""Makes the hints of image files, in this process or in one of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..preprocessors.catalogue import preprocessor_of
from ..preprocessors.depth_files import DepthFileFormat
from ..preprocessors.description import Networks, Value
from ..preprocessors.pictures import Photo, read_photo
from ..preprocessors.running import Options, preprocess, preprocess_bytes, to_bytes
from ..storage.writing import write_bytes
from .hint_files import HintFormat

if TYPE_CHECKING:
    import numpy as np

Job = tuple[str, str]
"""The path of an image, and that of its hint."""


@dataclass(frozen=True)
class Recipe:
    """How every hint of a run is made: plain values, which can be sent to another process or machine.

    method: id of the preprocessor. settings: complete. folder: of the weights. format: of the hints, or of the raw
    depth that is written in their place.
    """

    method: str
    settings: dict[str, Value]
    options: Options
    folder: Path
    device: str
    format: HintFormat | DepthFileFormat = field(default_factory=HintFormat)


def kind_of(photo: Photo) -> Any:
    """Equal for photographs that may share a batch."""
    return type(photo).__name__, tuple(photo.shape)


class Maker:
    """Makes hints by a recipe; its networks stay loaded in between.

    `read`, `write` and, without networks, `make` may be called from several threads.
    """

    def __init__(
        self, recipe: Recipe, check: Callable[[], None] | None = None, networks: Networks | None = None
    ) -> None:
        """check: called again and again while a hint is made; may raise to stop. networks: instead of the folder's."""
        from ..preprocessors.weights.local_networks import LocalNetworks

        self._method = preprocessor_of(recipe.method)
        self._networks = networks or LocalNetworks([recipe.folder], recipe.device)
        self._settings, self._format, self._options = recipe.settings, recipe.format, recipe.options
        if check is not None:
            self._options = replace(recipe.options, progress=lambda done, total: check())

    @property
    def has_networks(self) -> bool:
        """Whether the method gains from batches, and computes on a device."""
        return bool(self._method.weights)

    def read(self, source: str) -> Photo:
        """A photograph as the method likes it best. Raises ValueError that names the file."""
        return read_photo(Path(source))

    def make(self, photos: Sequence[Photo]) -> list[np.ndarray]:
        """The hints of photographs of one kind (`kind_of`): (H, W) or (H, W, 3) uint8; or depth, (H, W) float32.

        Raises FileNotFoundError when weights are missing, ImportError when what runs them is.
        """
        if self._method.in_bytes is not None and len(photos) == 1 and not isinstance(photos[0], torch.Tensor):
            return [preprocess_bytes(self._method, self._method.in_bytes, photos[0], self._settings, self._options)]
        batch = torch.cat([as_floats(photo) for photo in photos])
        options = replace(self._options, chunk=len(photos))
        hint = preprocess(self._method, batch, self._networks, self._settings, options)
        if isinstance(self._format, DepthFileFormat) and hint.depth is not None:
            return list(hint.depth.numpy())
        return list(to_bytes(hint.image))

    def write(self, pixels: np.ndarray, target: str) -> None:
        """Write a hint, whole or not at all. Raises OSError."""
        write_bytes(Path(target), self._format.encode(pixels), tidy=False)


def as_floats(photo: Photo) -> torch.Tensor:
    """(1, H, W, 3 or 4) float32 0..1."""
    if isinstance(photo, torch.Tensor):
        return photo
    return torch.from_numpy(photo.astype("float32") / 255)[None]
