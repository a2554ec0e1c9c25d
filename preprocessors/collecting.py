"""The results of chunks put together as those of one batch, in memory that is allocated once."""

from __future__ import annotations

from torch import Tensor

from .description import Hint
from .pose.keypoints import PoseFrame


class Rows:
    """The rows of one tensor. A single chunk that is the whole batch is taken as it is."""

    def __init__(self, total: int) -> None:
        self.count = 0
        self._total = total
        self._rows: Tensor | None = None

    def add(self, part: Tensor) -> None:
        """Put the next rows into their places."""
        start, self.count = self.count, self.count + part.shape[0]
        if self.count == self._total and start == 0:
            self._rows = part
            return
        if self._rows is None:
            self._rows = part.new_empty((self._total, *part.shape[1:]))
        self._rows[start : self.count] = part

    def whole(self) -> Tensor:
        """All of them. Raises ValueError where there was no image."""
        if self._rows is None:
            raise ValueError("The image batch is empty.")
        return self._rows


class CollectedHints:
    """The hints of a batch."""

    def __init__(self, total: int) -> None:
        self._image, self._labels, self._depth = Rows(total), Rows(total), Rows(total)
        self._poses: list[PoseFrame] | None = None

    def add(self, part: Hint) -> None:
        """Put the hints of the next images into their places."""
        self._image.add(part.image)
        if part.labels is not None:
            self._labels.add(part.labels)
        if part.depth is not None:
            self._depth.add(part.depth)
        if part.poses is not None:
            self._poses = self._poses or []
            self._poses += part.poses

    def hint(self) -> Hint:
        """All of them. Raises ValueError where there was no image."""
        labels = self._labels.whole() if self._labels.count else None
        depth = self._depth.whole() if self._depth.count else None
        return Hint(self._image.whole(), labels, self._poses, depth)
