"""The tensors of checkpoints that hold more: the state of a training program, or a TorchScript program.

A pickle is a list of instructions to call what it names. Here every name but those that make up a tensor stands for an
object that does nothing, so that nothing of the file is run; of a TorchScript program, the code is not even read.
"""

from __future__ import annotations

import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .names import name_of, printable
from .reading import check_file
from .safetensors_file import LONGEST_KEY, MOST_TENSORS
from .weights import Weights, read_weights

_WRAPPERS = ("state_dict", "model")
_CONTENT = "data.pkl"
_CONTENT_BYTES = 64 << 20
"""The most that is read of what is not the values of tensors."""
_DEPTH = 64
"""Modules within modules that are looked into."""
_TYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
}


def read_checkpoint(path: Path) -> Weights:
    """The tensors of a checkpoint by name; those of a TorchScript program by module and name (`head.conv.weight`).

    Of a checkpoint with a table `state_dict` or `model`, only that. Raises as `read_weights`, which reads every file
    that is no archive of torch's.
    """
    check_file(path)
    if not zipfile.is_zipfile(path):
        return read_weights(path)
    try:
        with zipfile.ZipFile(path) as archive:
            return dict(_tensors(archive))
    except Exception as error:  # a damaged pickle is a damaged program: it can fail in any way
        raise ValueError(f"{name_of(path)} is damaged or no weight file. Download it again.") from error


def _tensors(archive: zipfile.ZipFile) -> Iterator[tuple[str, Tensor]]:
    (content,) = (entry for entry in archive.infolist() if entry.filename.split("/")[1:] == [_CONTENT])
    if content.file_size > _CONTENT_BYTES:
        raise ValueError("its contents are too large")
    folder = content.filename.removesuffix(_CONTENT) + "data/"
    with archive.open(content) as file:
        table = _parts(_Reader(file).load())
    table = next((_parts(table[name]) for name in _WRAPPERS if isinstance(table.get(name), Mapping)), table)
    for count, (name, found) in enumerate(_flat(table, "", _DEPTH)):
        if count > MOST_TENSORS:
            raise ValueError("it holds more tensors than any network has")
        yield printable(name)[:LONGEST_KEY], found.read(archive, folder)


def _flat(table: Mapping[Any, Any], prefix: str, depth: int) -> Iterator[tuple[str, _Stored]]:
    for key, value in table.items():
        if isinstance(value, _Stored):
            yield f"{prefix}{key}", value
        elif depth > 1 and isinstance(value, (_Inert, Mapping)):
            yield from _flat(_parts(value), f"{prefix}{key}.", depth - 1)


def _parts(value: Any) -> Mapping[Any, Any]:
    found = value.parts if isinstance(value, _Inert) else value
    return found if isinstance(found, Mapping) else {}


class _Inert:
    """Stands for an object of a class that is not looked up. parts: what the file says it is made of."""

    def __init__(self, *_: object, **__: object) -> None:
        self.parts: Any = {}

    def __call__(self, *_: object, **__: object) -> _Inert:
        return _Inert()

    def __setstate__(self, state: object) -> None:
        self.parts = state

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, value: object) -> None:
        """Lists of such objects are of no use here."""


@dataclass(frozen=True)
class _Values:
    """Where the values of tensors lie in the archive."""

    dtype: torch.dtype
    key: str
    count: int


@dataclass(frozen=True)
class _Stored:
    """A tensor that is still in the archive. start, strides: in values."""

    values: _Values
    start: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]

    def read(self, archive: zipfile.ZipFile, folder: str) -> Tensor:
        entry = archive.getinfo(folder + self.values.key)
        needed = self.start + 1 + sum((size - 1) * step for size, step in zip(self.sizes, self.strides, strict=True))
        width = torch.empty(0, dtype=self.values.dtype).element_size()
        if entry.file_size != self.values.count * width or entry.compress_type != zipfile.ZIP_STORED:
            raise ValueError("the values of a tensor are cut off")
        if min(self.start, *self.sizes, *self.strides, 0) < 0 or needed > self.values.count:
            raise ValueError("a tensor is larger than its values")
        if math.prod(self.sizes) > self.values.count:
            raise ValueError("a tensor repeats its values")
        content = np.frombuffer(archive.read(entry), np.uint8).copy()
        values = torch.from_numpy(content).view(self.values.dtype)
        return values.as_strided(self.sizes, self.strides, self.start).clone()


def _rebuild_tensor(values: _Values, start: int, sizes: tuple[int, ...], strides: tuple[int, ...], *_: object) -> Any:
    return _Stored(values, int(start), tuple(map(int, sizes)), tuple(map(int, strides)))


def _rebuild_parameter(data: object, *_: object) -> object:
    return data


_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    **{("torch", name): dtype for name, dtype in _TYPES.items()},
}


class _Reader(pickle._Unpickler):  # in Python: the one in C makes room for what a number in the file says
    """Reads a pickle whose names are looked up in `_KNOWN`, and nowhere else."""

    def find_class(self, module: str, name: str) -> Any:
        return _KNOWN.get((module, name), _Inert)

    def persistent_load(self, pid: Any) -> _Values:
        _, dtype, key, _, count = pid
        if not isinstance(dtype, torch.dtype):
            raise ValueError("a tensor of an unknown type")
        return _Values(dtype, str(key), int(count))
