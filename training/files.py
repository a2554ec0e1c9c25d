"""Writes files whole or not at all."""

import os
import re
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError
from torch import Tensor

MARGIN = 1.05
"""Room asked for beyond the tensors themselves: file headers, and what others write meanwhile."""


def check_name(name: str) -> str:
    """A new file's name without ending, as it is. Raises ValueError for one that would leave its folder."""
    if not re.fullmatch(r"[\w][\w .-]*", name):
        raise ValueError(
            f"'{name}' is not a good name for a ControlNet. Use letters, digits, '-', '_', '.' and spaces."
        )
    return name


def bytes_of(content: object) -> int:
    """Bytes of all tensors in nested dictionaries and lists."""
    if isinstance(content, Tensor):
        return content.nbytes
    if isinstance(content, dict):
        return sum(bytes_of(value) for value in content.values())
    if isinstance(content, list | tuple):
        return sum(bytes_of(value) for value in content)
    return 0


def write_atomically(path: Path, size: int, write: Callable[[Path], object]) -> None:
    """Let `write` fill a new file of about `size` bytes, then put it in the place of `path`.

    A reader, and a crash at any moment, sees the old file or the new one; of several writers the last one counts.
    Raises OSError that names the file when it cannot be written, before the old one is touched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(path.parent).free
    if free < size * MARGIN:
        raise OSError(
            f"'{path.name}' needs {size / 1e9:.2f} GB, but the disk of '{path.parent}' has only {free / 1e9:.2f} GB "
            "free. Make room and continue; the file saved before is kept."
        )
    part = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part")
    try:
        write(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors raise their own for a full disk
        raise OSError(f"'{path}' could not be written ({error}). The file saved before, if any, is kept.") from error
    finally:
        part.unlink(missing_ok=True)
