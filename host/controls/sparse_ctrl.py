"""SparseCtrl: hints for some frames of a video, which its network carries to the others."""

from collections.abc import Callable

import comfy.latent_formats
import torch
from torch import Tensor

from ...controlnet.networks.controlnet import ControlNet
from ...controlnet.residuals import Residuals
from ..sampling.request import StepRequest
from .controlnet import ControlNetRunner
from .loaded_network import LoadedNetwork
from .runner import HintView, PreparedHint


class SparseCtrlRunner(ControlNetRunner):
    """One SparseCtrl: a batch of latents is a video. It sees its hints as latents, or as pixels if the file says so."""

    def __init__(self, loaded: LoadedNetwork[ControlNet]) -> None:
        super().__init__(loaded, "SparseCtrl", frames=True)
        if loaded.network.dims.sees_latents:
            self.latent_format = comfy.latent_formats.SD15()
            self.stride = self.hint_scale = 1

    def network_input(self, view: HintView, pixels: Tensor) -> Tensor:
        """With a mask of ones as the last channel; after the last hint what a frame without one sees: zeros."""
        seen = pixels if self.latent_format is None else self.latent_format.process_in(view.vae_encode(pixels))
        masked = torch.cat([seen, torch.ones_like(seen[:, :1])], dim=1)
        return torch.cat([masked, torch.zeros_like(masked[:1])])

    def run(self, request: StepRequest, hint: Callable[[], PreparedHint]) -> Residuals:
        """Raises ValueError for a video that is longer than the network knows."""
        longest = self.loaded.network.dims.frames
        if request.rows.item_count > longest:
            raise ValueError(
                f"'{self.name}' knows videos of at most {longest} frames, but the latent batch has "
                f"{request.rows.item_count}. Sample fewer at once, or use context windows."
            )
        return super().run(request, hint)
