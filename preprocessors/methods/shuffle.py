"""Content shuffle: the picture's colors and textures in a random smooth disorder, for the v1.1 shuffle ControlNet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from ..description import Hint, Inputs, Parameter, Preprocessor
from ..pixels import map_floats

if TYPE_CHECKING:
    import numpy as np


def noise_disk(generator: np.random.Generator, height: int, width: int, cell: int) -> np.ndarray:
    """Smooth noise that fills 0..1: uniform samples every `cell` pixels, enlarged cubically. (height, width)

    Source: ControlNet v1.1 `annotator/util.py`, `make_noise_disk`.
    """
    import cv2

    samples = generator.uniform(size=(height // cell + 2, width // cell + 2))
    enlarged = cv2.resize(samples, (width + 2 * cell, height + 2 * cell), interpolation=cv2.INTER_CUBIC)
    noise = enlarged[cell : cell + height, cell : cell + width]
    noise = noise - noise.min()
    return noise / max(float(noise.max()), 1e-12)


def shuffle(images: Tensor, seed: int, cell: int) -> Tensor:
    """Fetch every pixel from a random place that changes smoothly. BHWC -> BHWC; all images of a batch alike.

    seed: any from 0; cell: pixels between two random places, 256 in v1.1.
    """
    import cv2
    import numpy as np

    height, width = images.shape[1:3]
    generator = np.random.default_rng(seed)
    across = (noise_disk(generator, height, width, cell) * (width - 1)).astype(np.float32)
    down = (noise_disk(generator, height, width, cell) * (height - 1)).astype(np.float32)
    return map_floats(images, lambda rgb: cv2.remap(rgb, across, down, cv2.INTER_LINEAR))


def _run(inputs: Inputs) -> Hint:
    return Hint(shuffle(inputs.images, inputs.whole_number("seed"), inputs.whole_number("cell")))


SHUFFLE = Preprocessor(
    id="shuffle",
    label="Content Shuffle",
    hint="other",
    description="The picture's colors and textures in disorder: a ControlNet takes its style, not its shapes.",
    run=_run,
    parameters=(
        Parameter(
            "seed",
            "Seed",
            0,
            "Another number gives another disorder; the same gives the same.",
            minimum=0,
            maximum=2**32 - 1,
            step=1,
        ),
        Parameter(
            "cell",
            "Cell",
            256,
            "Size of the pieces that stay together. 256 is what the ControlNet was trained with.",
            minimum=16,
            maximum=1024,
            step=16,
            unit="pixels",
        ),
    ),
    aliases=("ShufflePreprocessor", "reorganize", "style"),
)
