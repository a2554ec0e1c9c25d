"""The part of a file that has come so far."""

import os
from pathlib import Path
from types import TracebackType
from typing import Self

from ...storage.writing import not_written

ADVICE = "Make room, then fetch again."


class PartFile:
    """A part, open to take what is missing. Every method raises OSError that names the file when the disk is full.

    length: bytes that are kept; 0 begins anew. Not buffered: a buffer that the disk has no room for would raise an
    error of its own when the file is closed.
    """

    def __init__(self, path: Path, length: int) -> None:
        self._path, self.length = path, length
        self._file = path.open("ab" if length else "wb", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, block: bytes) -> None:
        """Append a block."""
        left = memoryview(block)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            raise not_written(self._path, error, ADVICE) from error
        self.length += len(block)

    def finish(self) -> None:
        """Let the disk keep it, whatever happens to the machine."""
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise not_written(self._path, error, ADVICE) from error
