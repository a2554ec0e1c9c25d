"""Write files whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from .locking import is_held, lock
from .names import name_of, printable

if TYPE_CHECKING:
    from torch import Tensor

MARGIN = 1.05
"""Room asked for beyond the tensors themselves: file headers, and what others write meanwhile."""
PREFIX = "zeroconv-"
PART = ".part"
ABANDONED_SECONDS = 60
"""A part that nobody wrote to for so long, and that no process holds, is left from one that was killed."""
TRIES = 5
"""To put a file in its place: on Windows a virus scanner may hold the old one for a moment."""
PAUSE_SECONDS = 0.2


def write_atomically(path: Path, size: int, write: Callable[[IO[bytes]], object], tidy: bool = True) -> None:
    """Let `write` fill a new file of about `size` bytes, then put it in the place of `path`.

    tidy: first remove what killed writers left in the folder. That lists the folder, so who writes many files into one
    calls `remove_abandoned_parts` once instead.

    A reader, and a crash at any moment, sees the old file or the new one; of writers at the same time the last one to
    end wins. Raises OSError, naming the file, before the old one is touched, when the disk is or becomes too full.
    """
    folder = path.parent
    with _naming(path):
        folder.mkdir(parents=True, exist_ok=True)
    if tidy:
        remove_abandoned_parts(folder)
    free = shutil.disk_usage(folder).free
    if free < size * MARGIN:
        raise _like(
            OSError(errno.ENOSPC, ""),
            f"{name_of(path)} needs {size / 1e9:.2f} GB, but the disk of '{printable(folder)}' has only "
            f"{free / 1e9:.2f} GB free. Make room and continue; the file saved before is kept.",
        )
    part = folder / f"{PREFIX}{secrets.token_hex(4)}{PART}"
    try:
        with _naming(path):
            file = part.open("xb")
        try:
            lock(file)
            _fill(file, path, write)
        finally:
            with suppress(OSError):  # tries once more to write what `_fill` could not, and would hide its error
                file.close()
        put_in_place(part, path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes, tidy: bool = True) -> None:
    """Write a short file whole or not at all. tidy: as in `write_atomically`."""
    write_atomically(path, len(content), lambda file: file.write(content), tidy)


def write_safetensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors as `.safetensors`, whole or not at all. Raises OSError when the disk is too full."""
    from .safetensors_file import write_tensors

    write_atomically(path, bytes_of(tensors), lambda file: write_tensors(file, tensors, metadata or {}))


def bytes_of(content: object) -> int:
    """Bytes of all tensors in nested tables and lists."""
    if isinstance(content, Mapping):
        return sum(bytes_of(value) for value in content.values())
    if isinstance(content, list | tuple):
        return sum(bytes_of(value) for value in content)
    return getattr(content, "nbytes", 0)


class _Watched:
    """The file that `write` sees: remembers what the disk said, which torch.save tells in words of its own."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, content: bytes) -> int:
        try:
            return self._file.write(content)
        except OSError as error:
            self.error = error
            raise

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


def _fill(file: IO[bytes], path: Path, write: Callable[[IO[bytes]], object]) -> None:
    watched = _Watched(file)
    try:
        write(watched)  # pyright: ignore[reportArgumentType]
        file.flush()
        os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:
        cause = watched.error or (error if isinstance(error, OSError) else None)
        if cause is None:
            raise
        raise not_written(path, cause, "Make room and continue; the file saved before is kept.") from error


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Errors of the system about a folder or a part, as errors that name the file they stand for."""
    try:
        yield
    except OSError as error:
        raise not_written(path, error, "Choose another name or folder, or allow to write there.") from error


def not_written(path: Path, cause: OSError, advice: str) -> OSError:
    """The error for a file that could not be written, of the kind of its cause."""
    return _like(cause, f"{name_of(path)} could not be written ({cause.strerror or cause}). {advice}")


def _like(cause: OSError, message: str) -> OSError:
    """An error of the same kind that says only the message."""
    error = type(cause)(message)
    error.errno = cause.errno
    return error


def put_in_place(part: Path, path: Path) -> None:
    """Give a finished part its name. Raises PermissionError, naming the file, when the old one cannot be replaced."""
    for attempt in range(TRIES):
        try:
            with _naming(path) if path.is_dir() else nullcontext():
                part.replace(path)
            return
        except PermissionError as error:
            if attempt == TRIES - 1:
                raise _like(
                    error,
                    f"{name_of(path)} could not be replaced: another program has it open, or it may not be written. "
                    "Close that program, or choose another name.",
                ) from error
            time.sleep(PAUSE_SECONDS)


def remove_abandoned_parts(folder: Path) -> None:
    """Remove what killed writers left in a folder; a living one holds the lock of its part."""
    for part in folder.glob(f"{PREFIX}*{PART}"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > ABANDONED_SECONDS and not is_held(part):
                part.unlink()
