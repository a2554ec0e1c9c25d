"""Which part of the picture a call of the model sees, where it sees a region of it only."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Region:
    """A rectangle of a latent: the point at its upper left, its size and the size of the whole, in latent points."""

    top: int
    left: int
    size: tuple[int, int]
    whole: tuple[int, int]

    def cut(self, picture: Tensor, scale: int = 1) -> Tensor:
        """The part of a picture (..., H, W) of the whole that lies here. scale: its pixels to a latent point."""
        rows, columns = (
            slice(start * scale, (start + length) * scale)
            for start, length in zip((self.top, self.left), self.size, strict=True)
        )
        return picture[..., rows, columns]
