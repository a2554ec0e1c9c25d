"""The cache of what a base model computes from pairs: latents, text embeddings, hints."""

import hashlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ...datasets.shards import Tensors, TensorShards
from ...storage.writing import bytes_of


def cache_key(*parts: object) -> str:
    """A key that changes with every part: the model, the content of the image, how it is cut."""
    return hashlib.blake2b("\n".join(map(str, parts)).encode(), digest_size=20).hexdigest()


def halved(values: Tensor) -> Tensor:
    """In half precision, whose rounding (1 / 2048) is far below the noise that training adds; huge values in single.

    Latents and embeddings come from pictures in 256 levels and networks that run in half precision themselves.
    """
    half = values.half()
    return half if bool(torch.isfinite(half).all()) else values.float()


class Cache:
    """Tensors by key, in memory or in the shards of a folder, which may be deleted at any time between trainings."""

    def __init__(self, folder: Path | None = None) -> None:
        """folder: None for memory."""
        self._shards = TensorShards(folder)
        self.made: Counter[str] = Counter()
        """Bytes of what was computed, by kind."""

    @property
    def shards(self) -> TensorShards:
        """The storage itself."""
        return self._shards

    def get(self, key: str, make: Callable[[], Tensors], kind: str = "", needed: str = "") -> Tensors:
        """The tensors under the key, computed where they are missing or damaged.

        kind: what they are, for `made`. needed: the tensor without which the entry is damaged.
        """
        tensors = self._shards.get(key)
        if tensors is None or (needed and needed not in tensors):
            self._shards.put(key, make())
            tensors = self._shards.get(key) or {}
            self.made[kind] += bytes_of(tensors)
        return tensors

    def flush(self) -> None:
        """Write what was computed. Raises OSError when the disk is full."""
        self._shards.flush()

    def refresh(self) -> None:
        """Find what other processes have computed."""
        self._shards.refresh()
