"""Networks without a host: for the command line and for scripts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from .catalogue import build_network


class LocalNetworks:
    """Loads each network once, in float32, and keeps it until `clear`.

    folders: where weight files are looked for. device: where the networks run.
    """

    def __init__(self, folders: Sequence[Path], device: torch.device | str = "cpu") -> None:
        self._folders = tuple(folders)
        self._device = torch.device(device)
        self._loaded: dict[str, nn.Module] = {}

    def __call__(self, name: str) -> nn.Module:
        if name not in self._loaded:
            self._loaded[name] = build_network(name, self._folders).float().to(self._device)
        return self._loaded[name]

    def clear(self) -> None:
        """Forget all networks."""
        self._loaded.clear()
