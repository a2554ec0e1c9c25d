"""Our networks that see no noise as controls of the host: CtrLoRA, whose hint goes through the VAE, and SparseCtrl."""

from typing import Any

import comfy.latent_formats
import torch
from torch import Tensor

from ..controlnet.network import ControlNet
from ..controlnet.residuals import Residuals
from .control import ZeroConvControl
from .evaluation import Evaluation
from .loaded import LoadedNetwork
from .through_vae import check_vae, through_vae


class LatentHintControl(ZeroConvControl):
    """One network that sees the latents of its hints, or where its file says so the pictures themselves."""

    kind = "CtrLoRA"

    def __init__(self, loaded: LoadedNetwork[ControlNet]) -> None:
        super().__init__(loaded)
        if loaded.network.dims.sees_latents:
            formats = comfy.latent_formats
            self.latent_format = formats.SDXL() if loaded.network.dims.adm_channels else formats.SD15()
            self.hint_scale = 1
            # The VAE may have to make room for itself, which is no time for in the middle of the base model's run.
            self.acts_at_once = True

    def set_cond_hint(
        self,
        cond_hint: Tensor,
        strength: float = 1.0,
        timestep_percent_range: tuple[float, float] = (0.0, 1.0),
        vae: Any = None,
        extra_concat: list[Tensor] = [],  # noqa: B006  the host's signature; it is only read
    ) -> "LatentHintControl":
        """Raises ValueError for a missing VAE."""
        if self.latent_format is not None:
            check_vae(self.name, self.kind, vae)
        super().set_cond_hint(cond_hint, strength, timestep_percent_range, vae, extra_concat)
        return self

    def _see(self, pixels: Tensor) -> Tensor:
        """Latents (B, 4, h, w). The reference gives 0..1 to an encoder that takes -1..1; the host doubles the range."""
        return self._latents((pixels + 1) / 2)

    def _latents(self, pixels: Tensor) -> Tensor:
        return self.latent_format.process_in(through_vae(self.vae, pixels))


class SparseControl(LatentHintControl):
    """One SparseCtrl: a batch of latents is a video, of which some frames have a hint."""

    kind = "SparseCtrl"
    takes_frames = True

    def evaluate(self, evaluation: Evaluation, needed: int) -> Residuals:
        """Raises ValueError for a video that is longer than the network knows."""
        longest = self.loaded.network.dims.frames
        if evaluation.rows.pictures > longest:
            raise ValueError(
                f"'{self.name}' knows videos of at most {longest} frames, but the latent batch has "
                f"{evaluation.rows.pictures}. Sample fewer at once, or use context windows."
            )
        return super().evaluate(evaluation, needed)

    def _see(self, pixels: Tensor) -> Tensor:
        """With a mask of ones as the last channel, and behind the last hint what a frame without one sees: zeros."""
        seen = pixels if self.latent_format is None else self._latents(pixels)
        masked = torch.cat([seen, torch.ones_like(seen[:, :1])], dim=1)
        return torch.cat([masked, torch.zeros_like(masked[:1])])
