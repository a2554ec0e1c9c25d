"""A network in the host's memory management."""

from __future__ import annotations

import copy
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import comfy.model_management
import torch
from torch import nn

from ...controlnet.caching.tensor_cache import NetworkCache
from ..compat import model_patcher_class

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, eq=False)
class LoadedNetwork(Generic[Network]):
    """A network in the host's memory management, and what it computed once; shared by all controls of one file.

    patcher: the host's `ModelPatcher` around it. dtype: that it computes in. compiled: the same network by
    `torch.compile`, where another pack has compiled it.
    """

    name: str
    network: Network
    patcher: Any
    dtype: torch.dtype
    load_device: torch.device
    cache: NetworkCache = field(default_factory=NetworkCache)
    compiled: Any = None

    @property
    def call(self) -> Any:
        """The callable that runs the network."""
        return self.network if self.compiled is None else self.compiled

    @classmethod
    def wrap(cls, name: str, network: Network, dtype: torch.dtype, load_device: torch.device) -> LoadedNetwork[Network]:
        """A network of ours under the host's care."""
        offload_device = comfy.model_management.unet_offload_device()
        if not hasattr(network, "dtype"):  # the host's networks say it, and packs ask them
            setattr(network, "dtype", dtype)  # noqa: B010
        patcher = model_patcher_class()(network, load_device=load_device, offload_device=offload_device)
        return cls(name, network, patcher, dtype, load_device)

    def on_device(self, device: torch.device) -> LoadedNetwork[Network]:
        """A copy of the network on another device."""
        return self.wrap(self.name, copy.deepcopy(self.network), self.dtype, device)

    @property
    def weights_state(self) -> Hashable:
        """Changes whenever the host patches the weights."""
        return self.patcher.patches_uuid, self.dtype
