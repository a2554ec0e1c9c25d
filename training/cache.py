"""The cache of what a base model computes from pairs: latents, text embeddings, hints."""

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from torch import Tensor

from ..storage.weights import read_header, read_weights
from ..storage.writing import remove_abandoned_parts, write_safetensors

Tensors = dict[str, Tensor]
KEY = "zeroconv.key"
"""Metadata of a cached file: its own key and the names in it, by which a file of other content is recognised."""


def cache_key(*parts: object) -> str:
    """A key that changes with every part: the model, the content of the image, how it is cut."""
    return hashlib.blake2b("\n".join(map(str, parts)).encode(), digest_size=20).hexdigest()


class Cache:
    """Tensors by key, in memory or in a folder, which may be deleted at any time between trainings."""

    def __init__(self, folder: Path | None = None) -> None:
        """folder: None for memory."""
        self._folder = folder
        for each in () if folder is None else folder.glob("*/"):
            remove_abandoned_parts(each)
        self._memory: dict[str, Tensors] = {}

    def has(self, key: str) -> bool:
        return key in self._memory if self._folder is None else self._path(key).is_file()

    def get(self, key: str, make: Callable[[], Tensors]) -> Tensors:
        """The tensors under the key, computed where they are missing, damaged or those of something else."""
        if self._folder is None:
            if key not in self._memory:
                self._memory[key] = _plain(make())
            return self._memory[key]
        path = self._path(key)
        try:
            header = read_header(path)
            if header.metadata.get(KEY) == _mark(key, header.shapes):
                return read_weights(path)
        except (OSError, ValueError):
            pass  # missing, or cut off by a full disk
        tensors = _plain(make())
        write_safetensors(path, tensors, {KEY: _mark(key, tensors)})
        return tensors

    def _path(self, key: str) -> Path:
        if self._folder is None:
            raise ValueError("This cache has no folder.")
        return self._folder / key[:2] / f"{key}.safetensors"


def _mark(key: str, names: Iterable[str]) -> str:
    return f"{key}: {', '.join(sorted(names))}"


def _plain(tensors: Tensors) -> Tensors:
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
