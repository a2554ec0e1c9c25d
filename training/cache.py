"""The cache of what a base model computes from pairs: latents, text embeddings, hints."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .files import bytes_of, write_atomically

Tensors = dict[str, Tensor]
KEY = "zeroconv.key"
"""Metadata of a cached file: its own key, by which a file of other content is recognised."""


def cache_key(*parts: object) -> str:
    """A key that changes with every part: the model, the content of the image, how it is cut."""
    return hashlib.blake2b("\n".join(map(str, parts)).encode(), digest_size=20).hexdigest()


class Cache:
    """Tensors by key, in memory or in a folder, which may be deleted at any time between trainings."""

    def __init__(self, folder: Path | None = None) -> None:
        """folder: None for memory."""
        self._folder = folder
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
            return _read(path, key)
        except (OSError, SafetensorError):
            tensors = _plain(make())
            write_atomically(path, bytes_of(tensors), lambda part: save_file(tensors, part, {KEY: key}))
            return tensors

    def _path(self, key: str) -> Path:
        if self._folder is None:
            raise ValueError("This cache has no folder.")
        return self._folder / key[:2] / f"{key}.safetensors"


def _read(path: Path, key: str) -> Tensors:
    """The tensors of a file, copied so that it does not stay mapped. Raises OSError for one of other content."""
    with safe_open(path, "pt") as file:
        if (file.metadata() or {}).get(KEY) != key:
            raise OSError(f"'{path.name}' is not a file of this cache.")
        return {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118


def _plain(tensors: Tensors) -> Tensors:
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
