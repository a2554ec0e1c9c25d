"""T2I-Adapters in the host's contract: features of the hint alone, added inside the UNet's encoder."""

from collections.abc import Callable
from typing import Any

import comfy.model_management
import torch
from torch import Tensor

from ...controlnet.caching.tensor_cache import TensorCache
from ...controlnet.hint.fit import fit_hint
from ...controlnet.networks.dimensions import family_name
from ...controlnet.networks.t2i_adapter import T2IAdapter
from ...controlnet.residuals import Residuals
from ..sampling.chain_sum import Places
from ..sampling.request import StepRequest
from .loaded_network import LoadedControl, LoadedNetwork

PLACES = {"SD1.5": ((2, 5, 8, 11), 12), "SDXL": ((3, 5, 8), 10)}
"""Numbers of the input blocks after which features are added, and of the entries of core's list; the rest of SDXL's
features go to the middle."""

MAX_HINTS = 8


class AdapterControl(LoadedControl[T2IAdapter]):
    """One T2I-Adapter with its hint. It sees no noise, so it runs once for a hint and not at every step."""

    def __init__(self, loaded: LoadedNetwork[T2IAdapter]) -> None:
        super().__init__(loaded)
        self.residual_count = len(loaded.network.dims.levels)
        self.output_count = 0
        self._features: TensorCache[list[Tensor]] = TensorCache(MAX_HINTS)

    def pre_run(self, model: Any, percent_to_timestep_function: Callable[[float], float]) -> None:
        """Raises ValueError when the adapter was made for another base model family."""
        super().pre_run(model, percent_to_timestep_function)
        check_family(self.loaded.network, model.model_config.unet_config)

    def forget(self) -> None:
        super().forget()
        self._features.clear()

    def inference_memory_requirements(self, dtype: torch.dtype) -> int:
        """Bytes of the features and of the hint that the first convolution reads."""
        before = super().inference_memory_requirements(dtype)
        if self.strength == 0 or self.cond_hint_original is None:
            return before
        pictures, _, height, width = self.cond_hint_original.shape
        dims = self.loaded.network.dims
        points = height * width // dims.unshuffle**2
        channels = [dims.in_channels, *(level.channels for level in dims.levels)]
        return before + pictures * points * sum(channels) * comfy.model_management.dtype_size(self.loaded.dtype)

    def evaluate(self, request: StepRequest, needed: int) -> Residuals:
        features = self._run(request.x)
        order = self.given_out(features[0].shape[0], request.rows)
        chosen = [order[picture] for picture in request.pictures] * len(request.groups)
        own = tuple(feature[chosen] for feature in features)  # copies, to be changed in place
        inside = len(PLACES[self.loaded.network.dims.family][0])
        return Residuals(output=(), middle=own[inside:], input=own[:inside])

    def places(self) -> Places:
        blocks, count = PLACES[self.loaded.network.dims.family]
        # The host takes them from the end.
        inputs = [count - 1 - block for block in blocks]
        return {"input": (inputs, count), "output": ((), 0), "middle": ((0,), 0)}

    def _run(self, x: Tensor) -> list[Tensor]:
        """Features of all hints."""
        loaded, image = self.loaded, self.cond_hint_original
        grain = loaded.network.dims.unshuffle
        height, width = (-(-side * self.compression_ratio // grain) * grain for side in x.shape[-2:])

        def run() -> list[Tensor]:
            loaded.reuse.counts.forwards += 1
            hint = fit_hint(image, (height, width), self.fit).to(x.device, loaded.dtype)
            return loaded.network(hint.mean(dim=1, keepdim=True) if loaded.network.dims.hint_channels == 1 else hint)

        return self._features.get(image, (height, width, self.fit, loaded.weights_state), run)


def check_family(network: T2IAdapter, unet_config: dict[str, Any]) -> None:
    """Raise ValueError when the adapter and the base model are of two families.

    unet_config: the host's description of the base model's UNet (`model_config.unet_config`).
    """
    dims = network.dims
    adm = unet_config.get("adm_in_channels")
    if (adm == 2816) == dims.is_sdxl and unet_config.get("model_channels") == dims.levels[0].channels:
        return
    base = family_name(unet_config.get("context_dim"), adm)
    raise ValueError(
        f"The T2I-Adapter is for {dims.family}, but the MODEL is {base}. "
        f"Load an adapter or a ControlNet made for {base}, or a checkpoint of {dims.family}."
    )
