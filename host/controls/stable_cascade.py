"""ControlNets of Stable Cascade: features of the hint alone, which the host runs as it runs T2I-Adapters."""

from collections.abc import Callable
from typing import Any

import comfy.utils
import torch

from ...controlnet.hint.fit import Fit
from ...controlnet.residuals import Residuals
from ..sampling.request import StepRequest
from .comfy_controlnet import ComfyControlNetRunner
from .loaded_network import LoadedNetwork
from .runner import HintView, PreparedHint
from .t2i_adapter import own_rows


class StableCascadeRunner(ComfyControlNetRunner):
    """One Stable Cascade ControlNet. It sees no noise: its prepared hint is all it gives, computed once."""

    def _load(self, name: str, core: Any) -> LoadedNetwork:
        return LoadedNetwork.wrap(name, core.t2i_model.float(), torch.float32, core.device)

    def memory(self, hint_shape: torch.Size, dtype: torch.dtype, sets: int) -> int:
        return 0

    def prepare_hint(self, view: HintView) -> PreparedHint:
        height, width = view.pixel_size
        width, height = self.core.scale_image_to(width, height)
        if view.fit == Fit():  # the host smooths the hints of these networks
            seen = comfy.utils.common_upscale(view.image, width, height, self.core.upscale_algorithm, "center")
        else:
            seen = view.pixels(size=(height, width))
        seen = seen.float().to(view.device)
        if self.core.channels_in == 1 and seen.shape[1] > 1:
            seen = seen.mean(1, keepdim=True)
        given = self.loaded.call(seen)["input"]
        return tuple(given[index] for index in self._places()[0])

    def run(self, request: StepRequest, hint: Callable[[], PreparedHint]) -> Residuals:
        row_count = len(request.active_groups) * len(request.active_items)
        features = tuple(own_rows(feature, row_count).to(request.x.dtype) for feature in hint())
        return Residuals((), (), features, {"input": self._places(), "output": ((), 0), "middle": ((), 0)})

    def _places(self) -> tuple[tuple[int, ...], int]:
        """Where in the host's list the features are, in order of depth; it is taken from its end."""
        blocks = self.loaded.network.proj_blocks
        length = max(blocks) + 1
        return tuple(length - 1 - block for block in sorted(blocks)), length
