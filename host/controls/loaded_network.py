"""A network of ours in the host's memory management, and the controls that are made from it."""

from __future__ import annotations

import copy
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import comfy.model_management
import comfy.model_patcher
import torch
from torch import nn

from ...controlnet.caching.tensor_cache import NetworkCache
from .control import ShapedControl

if TYPE_CHECKING:
    from typing_extensions import Self

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class LoadedNetwork(Generic[Network]):
    """A network in the host's memory management, and what it keeps; shared by all controls made from one file."""

    name: str
    network: Network
    patcher: Any
    dtype: torch.dtype
    load_device: torch.device
    reuse: NetworkCache

    @classmethod
    def wrap(cls, name: str, network: Network, dtype: torch.dtype, load_device: torch.device) -> LoadedNetwork[Network]:
        patcher_class = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)
        offload_device = comfy.model_management.unet_offload_device()
        patcher = patcher_class(network, load_device=load_device, offload_device=offload_device)
        return cls(name, network, patcher, dtype, load_device, NetworkCache())

    @property
    def weights_state(self) -> Hashable:
        """Changes whenever the host patches the weights."""
        return getattr(self.patcher, "patches_uuid", None), self.dtype


class LoadedControl(ShapedControl, Generic[Network]):
    """A control whose network is one of ours, made from `loaded` alone."""

    def __init__(self, loaded: LoadedNetwork[Network]) -> None:
        super().__init__()
        self.loaded = loaded
        self.name = loaded.name

    def copy(self) -> Self:
        twin = type(self)(self.loaded)
        self.copy_to(twin)
        return twin

    def deepclone_multigpu(self, load_device: torch.device, autoregister: bool = False) -> Self:
        """A twin whose network lives on another device (newer hosts)."""
        twin = self.copy()
        network = copy.deepcopy(self.loaded.network)
        twin.loaded = LoadedNetwork.wrap(self.name, network, self.loaded.dtype, load_device)
        if autoregister:
            self.multigpu_clones[load_device] = twin
        return twin

    def get_models(self) -> list[Any]:
        return [*super().get_models(), self.loaded.patcher]

    def forget(self) -> None:
        super().forget()
        self.loaded.reuse.clear()
