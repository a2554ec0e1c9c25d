"""T2I-Adapters: features of the hint alone, added inside the UNet's encoder."""

from collections.abc import Callable
from typing import Any

import comfy.model_management
import torch
from torch import Tensor

from ...controlnet.networks.layers import repeat_rows
from ...controlnet.networks.t2i_adapter import T2IAdapter
from ...controlnet.residuals import Residuals
from ..sampling.request import StepRequest
from .base_model_check import base_family
from .loaded_network import LoadedNetwork
from .runner import Abilities, HintView, PreparedHint, ResidualRunner

BLOCKS = {"SD1.5": ((2, 5, 8, 11), 12), "SDXL": ((3, 5, 8), 10)}
"""Numbers of the input blocks after which features are added, and the length of core's list; the rest of SDXL's
features go to the middle."""


class T2IAdapterRunner(ResidualRunner):
    """One T2I-Adapter. It sees no noise: its prepared hint is all it gives, computed once for a sampling."""

    loaded: LoadedNetwork[T2IAdapter]

    def __init__(self, loaded: LoadedNetwork[T2IAdapter]) -> None:
        super().__init__(loaded, loaded.network.dims.family, Abilities(len(loaded.network.dims.levels)))

    def check_base_model(self, base_model: Any) -> None:
        dims, config = self.loaded.network.dims, base_model.model_config.unet_config
        base, fitting = base_family(base_model), ("SDXL",) if dims.is_sdxl else ("SD1.5", "SD2.x")
        if base in fitting and config.get("model_channels") == dims.levels[0].channels:
            return
        raise ValueError(
            f"The T2I-Adapter is for {dims.family}, but the MODEL is {base}. "
            f"Load a ControlNet made for {base} in place of '{self.name}', or a checkpoint of {dims.family}."
        )

    def memory(self, hint_shape: torch.Size, dtype: torch.dtype, sets: int) -> int:
        image_count, _, height, width = hint_shape
        dims = self.loaded.network.dims
        points = height * width // dims.unshuffle**2
        channels = [dims.in_channels, *(level.channels for level in dims.levels)]
        return image_count * points * sum(channels) * comfy.model_management.dtype_size(self.loaded.dtype)

    def prepare_hint(self, view: HintView) -> PreparedHint:
        loaded, grain = self.loaded, self.loaded.network.dims.unshuffle
        height, width = (-(-side // grain) * grain for side in view.pixel_size)
        loaded.cache.counts.forwards += 1
        hint = view.pixels(size=(height, width)).to(view.device, loaded.dtype)
        grey = loaded.network.dims.hint_channels == 1
        return tuple(loaded.call(hint.mean(dim=1, keepdim=True) if grey else hint))

    def run(self, request: StepRequest, hint: Callable[[], PreparedHint]) -> Residuals:
        row_count = len(request.active_groups) * len(request.active_items)
        features = tuple(own_rows(feature, row_count) for feature in hint())
        blocks, count = BLOCKS[self.loaded.network.dims.family]
        # The host takes them from the end.
        placement = {"input": ([count - 1 - block for block in blocks], count), "output": ((), 0), "middle": ((0,), 0)}
        return Residuals((), features[len(blocks) :], features[: len(blocks)], placement)


def own_rows(feature: Tensor, row_count: int) -> Tensor:
    """A feature for every active row, to be changed in place."""
    rows = repeat_rows(feature, row_count)
    return rows.clone() if rows is feature else rows
