"""Preprocessor networks in ComfyUI's memory management: loaded once, kept between runs, moved when the host wants."""

import weakref
from collections import OrderedDict
from functools import partial

import comfy.model_management
import comfy.ops
import torch
from comfy.model_patcher import ModelPatcher
from torch import nn

from ...preprocessors.depth_maps import AUTO, FLOAT16
from ...preprocessors.description import Networks
from ...preprocessors.weights.catalogue import build_network, weights_of
from .folders import weight_folders

KEPT_BYTES = 4 << 30
"""Networks beyond this sum are forgotten, the longest unused first."""


class HostNetworks:
    """The networks of weights.toml by name, on the host's device and in the dtype that the host chooses, or another."""

    def __init__(self, kept_bytes: int = KEPT_BYTES) -> None:
        self.loads = 0
        self._kept_bytes = kept_bytes
        self._patchers: OrderedDict[tuple[str, torch.dtype], ModelPatcher] = OrderedDict()
        self._owners = 0

    def __call__(self, name: str, dtype: torch.dtype | None = None) -> nn.Module:
        """dtype: None for the host's choice, or float32 where the catalogue says that the network needs it.

        Raises FileNotFoundError with how to get the file, ValueError when it does not fit.
        """
        device = comfy.model_management.get_torch_device()
        key = name, dtype or (torch.float32 if weights_of(name).float32 else half_dtype(device))
        if key not in self._patchers:
            self._patchers[key] = _load(name, device, key[1])
            self.loads += 1
        self._patchers.move_to_end(key)
        self._forget_oldest()
        patcher = self._patchers[key]
        if not patcher.model_size():  # ONNX and TFLite run themselves, outside of the host's memory
            return patcher.model
        # Whole, not in parts: a method asks the network's weights where and in which dtype it wants its input.
        comfy.model_management.load_models_gpu([patcher], force_full_load=True)
        return patcher.model

    def in_precision(self, precision: str) -> Networks:
        """The same networks in one of the precisions of `depth_maps.PRECISION`."""
        if precision == AUTO:
            return self
        half = half_dtype(comfy.model_management.get_torch_device())
        return partial(self, dtype=half if precision == FLOAT16 else torch.float32)

    def keep_for(self, owner: object) -> None:
        """Forget all networks when the last of their owners is gone; without any they stay.

        The host makes an object of each node of a workflow, and drops it with the workflow and when its models are
        freed (`POST /free`). As their owner it ends the networks then.
        """
        self._owners += 1
        weakref.finalize(owner, self._leave).atexit = False

    def clear(self) -> None:
        """Forget all networks."""
        self._patchers.clear()

    def _leave(self) -> None:
        self._owners -= 1
        if not self._owners:
            self.clear()

    def _forget_oldest(self) -> None:
        while len(self._patchers) > 1 and sum(p.model_size() for p in self._patchers.values()) > self._kept_bytes:
            self._patchers.popitem(last=False)


NETWORKS = HostNetworks()
"""Shared by all nodes, so that two nodes with the same network hold it once."""


def _load(name: str, device: torch.device, dtype: torch.dtype) -> ModelPatcher:
    network = build_network(name, weight_folders(), comfy.ops.pick_operations(dtype, dtype)).to(dtype)
    for layer in network.modules():
        layer.register_forward_pre_hook(_stop_if_cancelled)
    return ModelPatcher(network, load_device=device, offload_device=comfy.model_management.unet_offload_device())


def _stop_if_cancelled(layer: nn.Module, inputs: object) -> None:
    """Before every layer: on a CPU, or with a large picture, a whole network takes longer than anyone waits."""
    comfy.model_management.throw_exception_if_processing_interrupted()


def half_dtype(device: torch.device) -> torch.dtype:
    """Half precision where the host uses it for its models; not bfloat16, whose 8 bits would show in depth maps."""
    supported = [torch.float16, torch.float32]
    chosen = comfy.model_management.unet_dtype(device=device, supported_dtypes=supported)
    return chosen if chosen in supported else torch.float32
