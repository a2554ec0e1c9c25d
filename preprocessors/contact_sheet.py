"""Pictures side by side under their names, to choose between them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .description import Hint, Networks, Preprocessor
from .running import Options, preprocess
from .sizes import resize
from .weights.catalogue import find, weights_of

if TYPE_CHECKING:
    import numpy as np

LABEL_HEIGHT = 28
"""Pixels."""
MARGIN = 6
NARROWEST = 180
"""Pixels that the longest label needs."""
BACKGROUND = 30
"""Grey level."""


def ready_methods(methods: Mapping[str, Preprocessor], folders: Sequence[Path], has_mask: bool) -> list[Preprocessor]:
    """Those that can run now: all their weights are in the folders, and a mask is given to those that need one."""
    return [
        method
        for method in methods.values()
        if (has_mask or not method.takes_mask)
        and all(find(weights_of(name), folders) is not None for name in method.weights)
    ]


def compare(methods: Sequence[Preprocessor], image: Tensor, networks: Networks, options: Options) -> Tensor:
    """The contact sheet of one picture, BHWC with B = 1: the picture itself and what each method makes of it.

    All methods run with their default settings. `options.progress` counts methods.
    """
    pictures = {"Image": preprocess(_IDENTITY, image, networks, options=Options(options.resolution)).image}
    for done, method in enumerate(methods):
        options.progress(done, len(methods))
        own = Options(resolution=options.resolution, mask=options.mask)
        with suppress(ImportError):  # a method whose runtime is not installed is not ready either
            pictures[method.label] = preprocess(method, image, networks, options=own).image
    options.progress(len(methods), len(methods))
    return contact_sheet(pictures)


def contact_sheet(pictures: Mapping[str, Tensor], cell: int = 256) -> Tensor:
    """Lay labelled pictures, each (1, H, W, 3), on a grid that is about as wide as high: (1, H, W, 3).

    cell: the longer side of the first picture on the sheet, in pixels; all get its aspect.
    """
    import numpy as np

    height, width = next(iter(pictures.values())).shape[1:3]
    scale = cell / max(height, width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    row_height, column_width = size[0] + LABEL_HEIGHT, max(size[1], NARROWEST) + MARGIN
    sheet = np.full((rows * row_height, columns * column_width, 3), BACKGROUND, np.uint8)
    for index, (label, picture) in enumerate(pictures.items()):
        top, left = index // columns * row_height, index % columns * column_width
        _write(sheet, label, left, top)
        tile = resize(picture[:1].clamp(0, 1), size)[0].mul(255).round().byte().numpy()
        sheet[top + LABEL_HEIGHT : top + row_height, left : left + size[1]] = tile
    return torch.from_numpy(sheet)[None].float() / 255


def _write(sheet: np.ndarray, label: str, left: int, top: int) -> None:
    """White text into an HWC uint8 picture, above the tile whose cell starts at (left, top)."""
    import cv2

    place = (left + 4, top + LABEL_HEIGHT - 9)
    cv2.putText(sheet, label, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)


_IDENTITY = Preprocessor("image", "Image", "other", "The picture itself.", lambda inputs: Hint(inputs.images))
