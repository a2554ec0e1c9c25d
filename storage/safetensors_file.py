"""Files of the safetensors format, read into memory of our own and written in one pass.

The library maps what it reads: then a file that is overwritten in place changes the weights of a loaded network, one
that is cut ends the process, and on Windows it cannot be replaced while it is in use. Format: 8 bytes with the length
of the header, the header (JSON: dtype, shape and place of every tensor, and texts under `__metadata__`), the data
without gaps. Source: README of huggingface/safetensors.
"""

import io
import json
import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch import Tensor

from .names import name_of, printable
from .reading import check_file, parse_json

HEADER_BYTES = 32 << 20
"""The largest header that is read: a thousand times that of most files; training programs keep long texts there."""
MOST_TENSORS = 100_000
LONGEST_KEY = 500
"""Characters of a tensor's name; real ones have at most a hundred."""
METADATA = "__metadata__"

BITS = {"BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "BF16": 16, "C64": 64}
_TORCH = {"BOOL": "bool", "BF16": "bfloat16", "C64": "complex64"}
_TORCH |= {"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2", "F8_E8M0": "float8_e8m0fnu"}
for _letter, _kind, _sizes in (
    ("F", "float", (16, 32, 64)),
    ("I", "int", (8, 16, 32, 64)),
    ("U", "uint", (8, 16, 32, 64)),
):
    BITS |= {f"{_letter}{bits}": bits for bits in _sizes}
    _TORCH |= {f"{_letter}{bits}": f"{_kind}{bits}" for bits in _sizes}
DTYPES = {name: getattr(torch, dtype) for name, dtype in _TORCH.items() if hasattr(torch, dtype)}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies. start, end: in bytes from the end of the header. dtype: as the file calls it."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class Layout:
    """A header. data: where the tensors begin, in bytes from the start of the file."""

    entries: dict[str, Entry]
    metadata: dict[str, str] = field(default_factory=dict)
    data: int = 0


def read_layout(path: Path) -> Layout:
    """Read the header alone. Raises ValueError, naming the file, when it is damaged or something else."""
    size = check_file(path)
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8).ljust(8, b"\xff"))
        start = file.read(1)
        if start != b"{" or length > size - 8:
            raise damaged(path, "it is cut off, or of another format")
        if length > HEADER_BYTES:
            raise damaged(path, f"its header of {length / 1e6:.0f} MB is larger than any")
        text = start + file.read(length - 1)
    if text.count(b'"data_offsets"') > MOST_TENSORS:
        raise damaged(path, f"it lists more than {MOST_TENSORS:,} tensors")
    try:
        content = parse_json(text.decode("utf-8"), "its header")
        return _layout(content, 8 + length, size - 8 - length)
    except ValueError as error:
        reason = "its header is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error).rstrip(".")
        raise damaged(path, reason) from error


def damaged(path: Path, reason: str) -> ValueError:
    """The error for a file that cannot be read."""
    return ValueError(
        f"{name_of(path)} is damaged or no safetensors file: {printable(reason)}. "
        "Download it again, and check that it is not a web page or a Git LFS pointer."
    )


def _layout(content: Any, data: int, room: int) -> Layout:
    """Check a header as the library does: the tensors fill the `room` bytes of data exactly, in some order."""
    if not isinstance(content, dict):
        raise ValueError("its header is not a table")
    texts = content.pop(METADATA, None) or {}
    if not isinstance(texts, dict) or not all(isinstance(value, str) for value in texts.values()):
        raise ValueError("its metadata are not texts")
    if len(content) > MOST_TENSORS:
        raise ValueError(f"it lists more than {MOST_TENSORS:,} tensors")
    entries = {key: _entry(key, value) for key, value in content.items()}
    place = 0
    for key, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].end)):
        if entry.start != place:
            raise ValueError(f"the data of '{key}' are not where those before it end")
        place = entry.end
    if place != room:
        raise ValueError(f"it has {room} bytes of data, and its header says {place}")
    return Layout(entries, {printable(key): printable(value) for key, value in texts.items()}, data)


def _entry(key: str, value: Any) -> Entry:
    if key != printable(key) or len(key) > LONGEST_KEY:
        raise ValueError(f"the name '{key[:LONGEST_KEY]}' is too long, or not Unicode")
    if not isinstance(value, dict) or str(value.get("dtype")) not in BITS:
        raise ValueError(f"'{key}' is stored in no known way")
    shape, offsets = _sizes_in(value, "shape"), _sizes_in(value, "data_offsets")
    if shape is None or offsets is None or len(offsets) != 2:
        raise ValueError(f"'{key}' has no shape or place")
    start, end = offsets
    if 8 * (end - start) != math.prod(shape) * BITS[value["dtype"]]:
        raise ValueError(f"the data of '{key}' do not fit its shape")
    return Entry(value["dtype"], shape, start, end)


def _sizes_in(table: dict[str, Any], name: str) -> tuple[int, ...] | None:
    value = table.get(name)
    if not isinstance(value, list) or not all(type(size) is int and 0 <= size < 1 << 63 for size in value):
        return None
    return tuple(value)


def each_tensor(path: Path) -> Iterator[tuple[str, Tensor]]:
    """The tensors one after the other, as they lie in the file, each in memory of its own.

    Raises ValueError, naming the file, when it is damaged, cut meanwhile, or holds numbers that torch does not know.
    """
    layout = read_layout(path)
    with path.open("rb") as file:
        file.seek(layout.data)
        for key, entry in sorted(layout.entries.items(), key=lambda item: (item[1].start, item[1].end)):
            yield key, _read(path, file, key, entry)


def read_entries(path: Path, data: int, entries: Mapping[str, Entry]) -> dict[str, Tensor]:
    """Single tensors of a file whose header is known. data: where its tensors begin. Raises as `each_tensor`."""
    tensors = {}
    with path.open("rb") as file:
        for key, entry in entries.items():
            file.seek(data + entry.start)
            tensors[key] = _read(path, file, key, entry)
    return tensors


def _read(path: Path, file: io.BufferedReader, key: str, entry: Entry) -> Tensor:
    dtype = DTYPES.get(entry.dtype)
    if dtype is None:
        raise ValueError(
            f"{name_of(path)} stores '{key}' as {entry.dtype}, which this version of PyTorch cannot read. "
            "Use the version in fp8, fp16 or bf16."
        )
    raw = torch.empty(entry.end - entry.start, dtype=torch.uint8)
    if raw.numel() and file.readinto(_memory(raw)) != raw.numel():
        raise damaged(path, "it was cut while it was read")
    try:
        return raw.view(dtype).reshape(entry.shape)
    except (RuntimeError, OverflowError) as error:
        raise damaged(path, f"'{key}' has the impossible shape {entry.shape}") from error


def _memory(raw: Tensor) -> memoryview:
    """The bytes of a tensor of them, without a copy."""
    return memoryview(cast(Any, raw.numpy()))


def write_tensors(file: IO[bytes], tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors of any device and memory layout, the widest numbers first, as the library orders them."""
    order = sorted(tensors, key=lambda key: (-tensors[key].element_size(), key))
    header: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    place = 0
    for key in order:
        value = tensors[key]
        end = place + value.numel() * value.element_size()
        header[key] = {"dtype": NAMES[value.dtype], "shape": list(value.shape), "data_offsets": [place, end]}
        place = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    for key in order:
        plain = tensors[key].detach().cpu().contiguous().reshape(-1)
        if plain.numel():
            file.write(_memory(plain.view(torch.uint8)))
