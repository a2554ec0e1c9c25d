"""Weight files of every kind: tensors only, never code, in memory of our own: nothing stays mapped from the file."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .names import name_of, printable
from .reading import check_file
from .safetensors_file import LONGEST_KEY, MOST_TENSORS, damaged, each_tensor, read_layout

SAFETENSORS = ".safetensors"
PICKLES = (".pth", ".pt", ".ckpt", ".bin")
MAX_SHARING = 4
"""Tensors of a pickle may share memory; together they are never so many times the file, unless it is a trap."""
MAX_UNPACKED = 20
"""Compressed weights take up to so many times the room of their file; an untrained half of zeros counts already."""
END_OF_ARCHIVE = 22
"""Bytes of the last record of an archive without a comment."""
DEPTH = 3
"""Tables within tables that are looked into: checkpoints keep the weights under `state_dict` or the like."""

Shapes = Mapping[str, tuple[int, ...]]
Weights = dict[str, Any]
"""Tensors by name, and such tables by name."""


@dataclass(frozen=True)
class Header:
    """The header of a file, read without its weights: shapes and stored dtypes by key, and metadata."""

    shapes: Shapes
    dtypes: dict[str, str]
    metadata: dict[str, str] = field(default_factory=dict)
    bytes: int = 0


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor by its key."""
    return {key: tuple(value.shape) for key, value in tensors.items()}


def read_weights(path: Path) -> Weights:
    """Everything a weight file holds, on the CPU: its tensors, and tables of tensors within it.

    A file that ends in `.safetensors` is read as such; what any other is, its first bytes tell. Raises
    FileNotFoundError, or ValueError, naming the file and what to do, when it is empty, cut off, something else, holds
    code, or would take much more memory than its size.
    """
    if not is_pickle(path):
        return dict(each_tensor(path))
    return _read_pickle(path)


def read_header(path: Path) -> Header:
    """The header of a safetensors file, without its weights. Raises as `read_weights`."""
    if is_pickle(path):
        raise damaged(path, "it is of another format")
    layout = read_layout(path)
    shapes = {key: entry.shape for key, entry in layout.entries.items()}
    dtypes = {key: entry.dtype for key, entry in layout.entries.items()}
    return Header(shapes, dtypes, layout.metadata, path.stat().st_size)


def is_pickle(path: Path) -> bool:
    """Whether a file is another than a safetensors file. Raises ValueError for what is plainly no weight file."""
    check_file(path)
    with path.open("rb") as file:
        start = file.read(64)
    if start[8:9] == b"{":  # after the length of a header
        return path.suffix.lower() in PICKLES
    if start.lstrip().startswith(b"<"):
        raise ValueError(f"{name_of(path)} is a web page, not weights: the server wanted a login. Download it again.")
    if start.startswith(b"version https://git-lfs"):
        raise ValueError(f"{name_of(path)} is a Git LFS pointer, not the weights. Download the file itself.")
    return path.suffix.lower() != SAFETENSORS


def _read_pickle(path: Path) -> Weights:
    content = load_pickle(path)
    if not isinstance(content, Mapping):
        raise ValueError(f"{name_of(path)} holds no table of weights. Download it again.")
    kept = _Kept(MAX_SHARING * _unpacked_bytes(path))
    try:
        return kept.tables(content, DEPTH)
    except ValueError as error:
        raise ValueError(f"{name_of(path)} is damaged: {error}. Download it again.") from error


def load_pickle(path: Path) -> Any:
    """Tensors and plain values as `torch.save` wrote them. Raises as `read_weights`."""
    check_file(path)
    _unpacked_bytes(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=False)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{name_of(path)} holds more than tensors, or is damaged; nothing of it was run. "
            "Use the .safetensors version of this file."
        ) from error
    except Exception as error:  # a damaged pickle is a damaged program: it can fail in any way
        raise ValueError(f"{name_of(path)} is damaged or no weight file. Download it again.") from error


def check_archive(path: Path) -> None:
    """Raise ValueError when a file is an archive, as `torch.save` writes them, and not what its check sums say.

    For a file of which no hash is known; reading weights compares no check sums. Reads the whole file.
    """
    with path.open("rb") as file:
        start = file.read(2)
        file.seek(-min(END_OF_ARCHIVE, check_file(path)), 2)
        end = file.read(4)
    if start != b"PK":
        return
    try:
        with zipfile.ZipFile(path) as archive:
            whole = end == b"PK\5\6" and archive.testzip() is None
    except Exception as error:  # a damaged archive can fail in any way
        raise ValueError(f"{name_of(path)} is damaged: its list of contents cannot be read.") from error
    if not whole:
        raise ValueError(f"{name_of(path)} is damaged: a check sum within it differs.")


def _unpacked_bytes(path: Path) -> int:
    """Bytes of what a file holds, compressed or not.

    Raises ValueError for containers that are not plain weights, and for archives that unpack to far more than the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(262)
    if start[257:262] == b"ustar":
        raise ValueError(f"{name_of(path)} is a tar archive, not plain weights. Use its .safetensors version.")
    if not start.startswith(b"PK"):
        return size
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except Exception as error:  # the directory of a damaged archive can fail in any way
        raise ValueError(f"{name_of(path)} is damaged: its list of contents cannot be read.") from error
    if any(entry.filename.endswith("constants.pkl") for entry in entries):
        raise ValueError(
            f"{name_of(path)} is a TorchScript program, not plain weights; nothing of it was run. "
            "Use its .safetensors version."
        )
    unpacked = sum(entry.file_size for entry in entries)
    if len(entries) > MOST_TENSORS or unpacked > MAX_UNPACKED * size:
        raise ValueError(f"{name_of(path)} is damaged or a trap: it unpacks to far more than its size.")
    return max(size, unpacked)


class _Kept:
    """Collects the plain tensors of what a pickle held, until they are more than the file can hold."""

    def __init__(self, bytes_left: int) -> None:
        self._bytes_left, self._entries_left = bytes_left, MOST_TENSORS

    def tables(self, content: Mapping[Any, Any], depth: int) -> Weights:
        return dict(self._entries(content, depth))

    def _entries(self, content: Mapping[Any, Any], depth: int) -> Iterator[tuple[str, Any]]:
        for key, value in content.items():
            if isinstance(value, Mapping) and depth > 1:
                yield printable(key)[:LONGEST_KEY], self.tables(value, depth - 1)
            elif isinstance(value, Tensor) and _is_plain(value):
                self._bytes_left -= value.nbytes
                yield printable(key)[:LONGEST_KEY], value
            self._entries_left -= 1
            if self._bytes_left < 0 or self._entries_left < 0:
                raise ValueError("its tensors are larger than the file")


def _is_plain(value: Tensor) -> bool:
    return value.layout is torch.strided and not value.is_meta and not value.is_quantized
