"""Locks between processes, on files: they end with the process that holds them, however it ends."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

POLL_SECONDS = 0.2


def lock(file: IO[Any]) -> bool:
    """Lock an open file for this process. Returns False when another holds it.

    Where the file system knows no locks, every process gets it.
    """
    try:
        if fcntl is not None:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # pyright: ignore[reportAttributeAccessIssue]
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True


def is_held(path: Path) -> bool:
    """Whether some process holds the lock of a file."""
    with path.open("rb") as file:
        return not lock(file)


@contextmanager
def exclusive(path: Path, waiting: Callable[[], object]) -> Iterator[None]:
    """Be the only one of all processes and threads between here and the end of the block.

    path: a file that stands for the work; it is there only as long as somebody works. waiting: called while another
    does; may raise to stop.
    """
    while True:
        held, removed = False, False
        try:
            with path.open("a+b") as file:
                held = lock(file) and _is_still(file, path)
                if held:
                    try:
                        yield
                        return
                    finally:
                        removed = _remove(path)
        finally:
            if held and not removed:  # Windows removes a file only after it is closed
                _remove(path)
        waiting()
        time.sleep(POLL_SECONDS)


def _remove(path: Path) -> bool:
    """Remove a lock's file. Returns whether that was possible."""
    try:
        path.unlink()
    except OSError:
        return False
    return True


def _is_still(file: IO[Any], path: Path) -> bool:
    """Whether the file that was opened is the one of that name, and not one that the last holder has removed."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except OSError:
        return False
