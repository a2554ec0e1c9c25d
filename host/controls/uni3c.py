"""Uni3C of Wan: a second row of blocks beside the base model's, which sees its latent and a film rendered as the hint.

The network is the host's (`comfy/ldm/wan/uni3c.py`, ComfyUI 0.33), whose own node patches the MODEL for a whole
sampling at one strength.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import comfy.latent_formats
import comfy.model_management
import torch
from torch import Tensor

from ...controlnet.formats.format import Description
from ...controlnet.networks.layers import repeat_rows
from ...controlnet.strength.scaling import Scales
from ..sampling.patches import ControlPatch
from ..sampling.request import StepRequest
from .base_model_check import check_transformer_family
from .comfy_controlnet import ACTIVATIONS
from .loaded_network import LoadedNetwork
from .model_patch import TokenPatch
from .runner import Abilities, HintView, PatchRunner, PreparedHint

SEEN_CHANNELS = 20
"""Channels that it sees of the base model's input: the latent, and the mask of an image-to-video model."""


@dataclass(frozen=True)
class BlockState:
    """The state that passes from one of its blocks to the next: tokens, embedded time, rotary frequencies."""

    tokens: Tensor
    time: Tensor
    frequencies: Tensor


@dataclass(eq=False)
class Uni3CPatch(TokenPatch):
    """The patch that the host calls after every block of one step. All prompts have the same latent and film, so it
    runs for one of them."""

    state: BlockState | None = None

    def __call__(self, given: dict[str, Any]) -> dict[str, Any]:
        network, block = self.network, given["block_index"]
        if block == 0:
            self.state = self._begin(given)
        if self.state is None or block >= network.num_layers:
            return given
        state = self.state
        tokens, residual = network.forward_block(block, state.tokens, state.time, state.frequencies)
        self.state = None if block + 1 == network.num_layers else BlockState(tokens, state.time, state.frequencies)
        if self.factor(block) != 0:
            for_all = repeat_rows(residual, len(self.request.active_groups) * residual.shape[0]).to(given["img"].dtype)
            self.add(given["img"], for_all, block, given.get("img_offset", 0))
        return given

    def _begin(self, given: dict[str, Any]) -> BlockState:
        dtype = given["img"].dtype
        seen, time = self._one_prompt(given["x"])[:, :SEEN_CHANNELS].to(dtype), self._one_prompt(given["vec"])
        lacking = SEEN_CHANNELS - seen.shape[1]
        seen = torch.nn.functional.pad(seen, (0, 0, 0, 0, 0, 0, 0, lacking)) if lacking > 0 else seen
        film = self.request.window_of(self.hint).to(seen).expand(seen.shape[0], -1, -1, -1, -1)
        tokens, frequencies = self.network.process_input(torch.cat([seen, film], dim=1))
        return BlockState(tokens, (time[:, 0] if time.dim() == 3 else time).to(dtype), frequencies)

    def _one_prompt(self, values: Tensor) -> Tensor:
        """The active rows of the first prompt that it acts on."""
        rows, first = self.request.rows, self.request.active_groups[0]
        indices = [first * rows.item_count + item for item in self.request.active_items]
        return self.request.step.kept.constants.rows(values, indices)


class Uni3CRunner(PatchRunner):
    """One Uni3C. found: what its file says of it."""

    stride = 1

    def __init__(self, loaded: LoadedNetwork[Any], found: Description) -> None:
        super().__init__(
            loaded, found.family, Abilities(found.residuals or 0, output_count=0, film=True, divisible=False)
        )
        self.latent_format = comfy.latent_formats.Wan21()

    def check_base_model(self, base_model: Any) -> None:
        check_transformer_family(self.name, self.family, self.loaded.network.proj_out[0].out_features, base_model)

    def memory(self, hint_shape: torch.Size, dtype: torch.dtype, sets: int) -> int:
        frames, _, height, width = hint_shape
        tokens = (1 + frames // 4) * (height // 16) * (width // 16)
        width_of_block = self.loaded.network.proj_out[0].in_features
        return tokens * width_of_block * ACTIVATIONS * comfy.model_management.dtype_size(dtype)

    def prepare_hint(self, view: HintView) -> PreparedHint:
        """The film's latent, (1, C, frames, h, w), of a size that whole tokens of 2 x 2 points fill."""
        self.loaded.cache.counts.hint_embeddings += 1
        height, width = (-(-side // 2) * 2 * view.stride for side in view.size)
        return (self.latent_format.process_in(view.vae_encode(view.film((height, width)))),)

    def patches(self, request: StepRequest, hint: PreparedHint, scales: Scales) -> Iterable[tuple[str, ControlPatch]]:
        return [("double_block", Uni3CPatch(self.loaded.network, hint[0], scales, request))]
