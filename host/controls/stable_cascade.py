"""ControlNets of Stable Cascade: features of the hint alone, which the host runs as it runs T2I-Adapters."""

from typing import Any

import comfy.utils
import torch
from torch import Tensor

from ...controlnet.caching.tensor_cache import TensorCache
from ...controlnet.formats.format import Description
from ...controlnet.hint.fit import Fit, fit_hint
from ...controlnet.residuals import Residuals
from ..sampling.request import StepRequest
from .comfy_controlnet import MAX_HINTS, WrappedControl
from .loaded_network import LoadedNetwork


class WrappedCascade(WrappedControl):
    """One Stable Cascade ControlNet with its hint. It sees no noise, so it runs once for a hint."""

    last_first = True

    def __init__(self, name: str, inner: Any, found: Description, loaded: LoadedNetwork | None = None) -> None:
        super().__init__(name, inner, found)
        self.loaded = loaded or LoadedNetwork.wrap(name, inner.t2i_model.float(), torch.float32, inner.device)
        self._features: TensorCache[Residuals] = TensorCache(MAX_HINTS)

    def copy(self) -> "WrappedCascade":
        twin = type(self)(self.name, self.inner.copy(), self.found, self.loaded)
        self.copy_to(twin)
        return twin

    @property
    def network(self) -> Any:
        return self.loaded.network

    def deepclone_multigpu(self, load_device: torch.device, autoregister: bool = False) -> "WrappedCascade":
        """A twin whose network lives on another device (newer hosts)."""
        inner = self.inner.deepclone_multigpu(load_device)
        twin = type(self)(self.name, inner, self.found)
        self.copy_to(twin)
        if autoregister:
            self.multigpu_clones[load_device] = twin
        return twin

    def get_models(self) -> list[Any]:
        return [*super().get_models(), self.loaded.patcher]

    def forget(self) -> None:
        super().forget()
        self._features.clear()

    def evaluate(self, request: StepRequest, needed: int) -> Residuals:
        x, rows = request.x, request.rows
        key = (x.shape[-2:], self.fit, self.loaded.weights_state)
        features = self._features.get(self.cond_hint_original, key, lambda: self._run(x))
        count = self.cond_hint_original.shape[0]
        order = self.given_out(count, rows)
        chosen = [order[picture] for picture in request.pictures] * len(request.groups)
        return features.map(lambda feature: feature[chosen].to(x.dtype))

    def _run(self, x: Tensor) -> Residuals:
        size = self.inner.scale_image_to(x.shape[-1] * self.compression_ratio, x.shape[-2] * self.compression_ratio)
        width, height = size
        if self.fit == Fit():  # the host smooths the hints of these networks
            image, way = self.cond_hint_original, self.inner.upscale_algorithm
            seen = comfy.utils.common_upscale(image, width, height, way, "center")
        else:
            seen = fit_hint(self.cond_hint_original, (height, width), self.fit)
        seen = seen.float().to(x.device)
        if self.inner.channels_in == 1 and seen.shape[1] > 1:
            seen = seen.mean(1, keepdim=True)
        return self._residuals(self.network(seen))
