"""Our networks that see no noise as controls of the host: CtrLoRA, whose hint goes through the VAE, and SparseCtrl."""

import comfy.latent_formats
import torch
from torch import Tensor

from ...controlnet.hint.order import spread_hints
from ...controlnet.networks.controlnet import ControlNet
from ...controlnet.residuals import Residuals
from ...controlnet.strength.factors import StepRows
from ..sampling.request import StepRequest
from .controlnet import ZeroConvControl
from .latent_hint import LatentHintControl, through_vae
from .loaded_network import LoadedNetwork


class HintOnlyControl(LatentHintControl, ZeroConvControl):
    """One network that sees no noise: of its hints the latents, or where its file says so the pictures."""

    def __init__(self, loaded: LoadedNetwork[ControlNet]) -> None:
        super().__init__(loaded)
        if loaded.network.dims.sees_latents:
            formats = comfy.latent_formats
            self.latent_format = formats.SDXL() if loaded.network.dims.adm_channels else formats.SD15()
            self.hint_scale = 1
            # The VAE may have to make room for itself, which is no time for in the middle of the base model's run.
            self.acts_at_once = True

    def _latents(self, pixels: Tensor) -> Tensor:
        """Of pixels (B, 3, 8h, 8w), 0..1, as the base model scales them: (B, 4, h, w)."""
        return self.latent_format.process_in(through_vae(self.vae, pixels))


class CtrLoRAControl(HintOnlyControl):
    """One CtrLoRA with its base."""

    family = "CtrLoRA"

    def _see(self, pixels: Tensor) -> Tensor:
        """The reference gives 0..1 to an encoder that takes -1..1; the host's VAE doubles the range."""
        return self._latents((pixels + 1) / 2)


class SparseControl(HintOnlyControl):
    """One SparseCtrl: a batch of latents is a video, of which some frames have a hint."""

    family = "SparseCtrl"
    takes_frames = True

    def given_out(self, hints: int, rows: StepRows) -> tuple[int, ...]:
        total = rows.item_count if rows.window is None else rows.total
        return spread_hints(hints, rows.frames, total, self.frames)

    def evaluate(self, request: StepRequest, needed: int) -> Residuals:
        """Raises ValueError for a video that is longer than the network knows."""
        longest = self.loaded.network.dims.frames
        if request.rows.item_count > longest:
            raise ValueError(
                f"'{self.name}' knows videos of at most {longest} frames, but the latent batch has "
                f"{request.rows.item_count}. Sample fewer at once, or use context windows."
            )
        return super().evaluate(request, needed)

    def _see(self, pixels: Tensor) -> Tensor:
        """With a mask of ones as the last channel, and behind the last hint what a frame without one sees: zeros."""
        seen = pixels if self.latent_format is None else self._latents(pixels)
        masked = torch.cat([seen, torch.ones_like(seen[:, :1])], dim=1)
        return torch.cat([masked, torch.zeros_like(masked[:1])])
