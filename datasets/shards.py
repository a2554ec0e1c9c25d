"""Very many small tensors in few files: shards, each a safetensors file of some thousand entries."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..storage.safetensors_file import Entry, read_entries, read_layout
from ..storage.writing import bytes_of, remove_abandoned_parts, write_safetensors

Tensors = dict[str, Tensor]

SHARD_BYTES = 64 << 20
SHARD_ENTRIES = 8192
SHARD_SECONDS = 60.0
"""A shard is written when it is as large, has as many entries, or is so old: no more is lost with a process."""
SUFFIX = ".safetensors"
PREFIX = "shard-"


@dataclass(frozen=True)
class _Place:
    """Where the tensors of an entry lie: in which file, from which byte on, by name."""

    file: Path
    data: int
    tensors: dict[str, Entry]


class TensorShards:
    """Tensors by key, in memory or in the shards of a folder, to which several processes may add at the same time."""

    def __init__(self, folder: Path | None = None) -> None:
        """folder: None for memory."""
        self._folder = folder
        self._places: dict[str, _Place] = {}
        self._read: set[str] = set()
        self._unwritten: dict[str, Tensors] = {}
        self._bytes, self._since = 0, time.monotonic()
        if folder is not None:
            remove_abandoned_parts(folder)
        self.refresh()

    def __contains__(self, key: str) -> bool:
        return key in self._unwritten or key in self._places

    def get(self, key: str) -> Tensors | None:
        """The tensors of an entry, in memory of their own; None where it is missing or damaged."""
        if key in self._unwritten:
            return self._unwritten[key]
        place = self._places.get(key)
        if place is None:
            return None
        try:
            return read_entries(place.file, place.data, place.tensors)
        except (OSError, ValueError):  # deleted or cut meanwhile
            self._places.pop(key, None)
            return None

    def put(self, key: str, tensors: Tensors) -> None:
        """Add an entry. It is written with others, at the latest by `flush`. Raises OSError when the disk is full."""
        self._unwritten[key] = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
        self._bytes += bytes_of(tensors)
        full = self._bytes >= SHARD_BYTES or len(self._unwritten) >= SHARD_ENTRIES
        if full or time.monotonic() - self._since >= SHARD_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what is not written yet. Raises OSError when the disk is full."""
        self._since = time.monotonic()
        if self._folder is None or not self._unwritten:
            return
        whole = {f"{key}/{name}": value for key, tensors in self._unwritten.items() for name, value in tensors.items()}
        path = self._folder / f"{PREFIX}{secrets.token_hex(8)}{SUFFIX}"
        write_safetensors(path, whole)
        self._add(path)
        self._unwritten, self._bytes = {}, 0

    def refresh(self) -> None:
        """Find the shards that other processes have written meanwhile."""
        if self._folder is None or not self._folder.is_dir():
            return
        for path in sorted(self._folder.glob(f"{PREFIX}*{SUFFIX}")):
            if path.name not in self._read:
                self._add(path)

    def files(self) -> list[Path]:
        """The shards that entries lie in."""
        return sorted({place.file for place in self._places.values()})

    def _add(self, path: Path) -> None:
        self._read.add(path.name)
        try:
            layout = read_layout(path)
        except (OSError, ValueError):
            return  # damaged: its entries are made again
        found: dict[str, dict[str, Entry]] = {}
        for whole, entry in layout.entries.items():
            key, slash, name = whole.rpartition("/")
            if slash:
                found.setdefault(key, {})[name] = entry
        self._places |= {key: _Place(path, layout.data, tensors) for key, tensors in found.items()}
