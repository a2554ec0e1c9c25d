"""A real photograph for the demo and the tests: the coffee cup of scikit-image, by Rachel Michetti, CC0."""

from pathlib import Path

import PIL.Image


def photo(size: int = 512) -> PIL.Image.Image:
    """The middle square of the photograph at `size` x `size` pixels, RGB."""
    import skimage  # which takes long to import

    picture = PIL.Image.open(Path(skimage.__file__).parent / "data" / "coffee.png").convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.crop((left, top, left + side, top + side))
    return square.resize((size, size), PIL.Image.Resampling.LANCZOS)
