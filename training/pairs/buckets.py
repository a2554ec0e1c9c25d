"""Aspect-ratio buckets: pictures keep their shape, and hints are cut exactly like their pictures."""

import math
from dataclasses import dataclass

from PIL import Image

STEP = 64
"""CfgWeights are multiples of this: the UNets halve the latent (an eighth of the picture) three times."""
WIDEST = 2.0
"""Largest ratio of the sides of a bucket; more extreme pictures are cut."""
ASPECT_TOLERANCE = 0.02
"""How much a hint's aspect ratio may differ from its picture's, for rounding in resizing."""


@dataclass(frozen=True)
class Cut:
    """A part of a picture and the size it is brought to.

    box: left, upper, right, lower as fractions of width and height.
    """

    width: int
    height: int
    box: tuple[float, float, float, float]

    def apply(self, image: Image.Image, filter: Image.Resampling) -> Image.Image:
        """The part of the image, resized. An image that has the size already stays as it is, bit for bit."""
        across, down = image.size
        box = (self.box[0] * across, self.box[1] * down, self.box[2] * across, self.box[3] * down)
        return image.resize((self.width, self.height), filter, box)


def bucket_sizes(resolution: int, step: int = STEP) -> list[tuple[int, int]]:
    """Widths and heights of about resolution x resolution pixels, as many as there are widths in steps."""
    area, sizes = resolution**2, []
    for width in range(step, math.ceil(resolution * math.sqrt(WIDEST)) + step, step):
        height = max(step, round(area / width / step) * step)
        if max(width, height) / min(width, height) <= WIDEST:
            sizes.append((width, height))
    return sizes


def cut_to_bucket(size: tuple[int, int], resolution: int, step: int = STEP) -> Cut:
    """The bucket of the nearest shape for a picture of `size` (width, height), and its largest central part in it.

    Raises ValueError for a resolution that is not a multiple of `step`.
    """
    if resolution < step or resolution % step:
        raise ValueError(f"The training resolution must be a multiple of {step}, not {resolution}.")
    aspect = size[0] / size[1]
    width, height = min(bucket_sizes(resolution, step), key=lambda s: abs(math.log(s[0] / s[1] / aspect)))
    across, down = min(1.0, width / height / aspect), min(1.0, aspect * height / width)
    return Cut(width, height, ((1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2))


def check_same_shape(target: tuple[int, int], hint: tuple[int, int]) -> None:
    """Raise ValueError when a hint cannot lie over its picture: sizes as (width, height)."""
    if abs(math.log(target[0] * hint[1] / (target[1] * hint[0]))) > ASPECT_TOLERANCE:
        raise ValueError(
            f"the hint of {hint[0]}x{hint[1]} has another shape than the picture of {target[0]}x{target[1]}"
        )
