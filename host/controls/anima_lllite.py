"""ControlNet-LLLite of Anima: a shift of what its attention and feed-forward layers read, for one step at a time.

The network is the host's (`comfy/ldm/anima/lllite.py`, ComfyUI 0.33), whose own node patches the MODEL for a whole
sampling at one strength.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import comfy.utils
import torch
from torch import Tensor

from ...controlnet.formats.format import Description
from ...controlnet.strength.scaling import Multipliers, Scales
from ..sampling.patches import ControlPatch
from ..sampling.request import StepRequest
from .base_model_check import check_transformer_family
from .loaded_network import LoadedNetwork
from .runner import Abilities, HintView, PatchRunner, PreparedHint, for_rows

TOKEN_SIDE = 16
"""Pixels to a side of a token: 8 to a latent point, 2 points to a side."""
MASKED_CHANNELS = 4
"""Channels that an inpainting network sees of its hint: the last is the mask."""

ATTENTION = {
    "attn1_patch": {"q": "self_attn_q_proj", "k": "self_attn_k_proj", "v": "self_attn_v_proj"},
    "attn2_patch": {"q": "cross_attn_q_proj"},
}
"""The host's places of patches in attention: for each input of the patch, the layer that reads it."""
FEED_FORWARD = "mlp_layer1"


class AnimaShift:
    """The changes that one network makes in one step. hint: as encoded, of one row or of each active row."""

    def __init__(self, network: Any, hint: Tensor, scales: Scales, request: StepRequest) -> None:
        self._network, self._hint, self._scales, self._request = network, hint, scales, request
        self._multipliers = Multipliers(scales)

    def __call__(self, tokens: Tensor, block: int, layer: str) -> Tensor:
        """The input of a layer in place of tokens, (rows, ..., C)."""
        weight = 1.0 if self._scales.blocks is None or block >= len(self._scales.blocks) else self._scales.blocks[block]
        flat = tokens.flatten(1, -2)
        strength = self._multipliers(flat, self._scales.strength * weight)
        if isinstance(strength, float) and strength == 0:
            return tokens
        active = self._request.active_rows
        if active is None:
            return self._apply(flat, block, layer, strength).view_as(tokens)
        if isinstance(strength, Tensor) and strength.shape[0] == self._request.row_count:
            strength = self._request.select(strength)
        changed, index = flat.clone(), self._request.step.kept.constants.get(active, torch.int64, flat.device)
        return changed.index_copy_(0, index, self._apply(self._request.select(flat), block, layer, strength)).view_as(
            tokens
        )

    def _apply(self, tokens: Tensor, block: int, layer: str, strength: Tensor | float) -> Tensor:
        return self._network.apply(tokens, self._hint.to(tokens), block, layer, strength)


@dataclass(frozen=True, eq=False)
class AnimaAttentionPatch(ControlPatch):
    """The patch that the host calls at every attention layer of one step. layers: by the input that they read."""

    shift: AnimaShift
    layers: Mapping[str, str]

    def __call__(
        self, q: Tensor, k: Tensor, v: Tensor, pe: Any = None, attn_mask: Any = None, extra_options: Any = None
    ) -> dict[str, Any]:
        given = {"q": q, "k": k, "v": v}
        block = extra_options["block_index"]
        changed = {name: self.shift(given[name], block, layer) for name, layer in self.layers.items()}
        return {**given, **changed, "pe": pe, "attn_mask": attn_mask}


@dataclass(frozen=True, eq=False)
class AnimaFeedForwardPatch(ControlPatch):
    """The patch that the host calls before every feed-forward layer of one step."""

    shift: AnimaShift

    def __call__(self, given: dict[str, Any]) -> dict[str, Any]:
        block = given["transformer_options"]["block_index"]
        return {**given, "x": self.shift(given["x"], block, FEED_FORWARD)}


class AnimaLLLiteRunner(PatchRunner):
    """One ControlNet-LLLite of Anima. found: what its file says of it."""

    def __init__(self, loaded: LoadedNetwork[Any], found: Description) -> None:
        abilities = Abilities(found.residuals or 0, output_count=0, divisible=False)
        super().__init__(loaded, found.family, abilities)
        self.concat_mask = loaded.network.cond_in_channels == MASKED_CHANNELS
        self.inpaint_input = "hint" if self.concat_mask else "none"

    def check_base_model(self, base_model: Any) -> None:
        check_transformer_family(self.name, self.family, self.loaded.network.model_dim, base_model)
        blocks, own = len(base_model.diffusion_model.blocks), self.loaded.network.block_count
        if own > blocks:
            raise ValueError(
                f"The ControlNet-LLLite is for a larger Anima: it changes {own} blocks, the MODEL has {blocks}. Load a "
                "ControlNet made for this model."
            )

    def memory(self, hint_shape: torch.Size, dtype: torch.dtype, sets: int) -> int:
        """Bytes of the encoder's first layer, and of what a layer holds of its tokens."""
        image_count, _, height, width = hint_shape
        points = height * width // 16 * self.loaded.network.lllite_conditioning1.conv1.out_channels
        tokens = 4 * (height // TOKEN_SIDE) * (width // TOKEN_SIDE) * self.loaded.network.model_dim
        return image_count * (points + tokens) * comfy.model_management.dtype_size(dtype)

    def prepare_hint(self, view: HintView) -> PreparedHint:
        """The hint in -1..1, encoded; an inpainting network's with the mask, 1 where it is to be painted anew."""
        self.loaded.cache.counts.hint_embeddings += 1
        height, width = (-(-side // 2) * TOKEN_SIDE for side in view.size)
        image = view.pixels(size=(height, width)).to(view.device).float() * 2 - 1
        if self.concat_mask:
            mask = comfy.utils.common_upscale(1 - view.masks[0].float(), width, height, "nearest-exact", "center")
            hole = (mask.to(image.device) >= 0.5).to(image)
            count = max(len(image), len(hole))
            image, hole = (comfy.utils.repeat_to_batch_size(part, count) for part in (image, hole))
            if self.loaded.network.inpaint_masked_input:
                image = image * (1 - hole)
            image = torch.cat([image, hole * 2 - 1], dim=1)
        return (self.loaded.network.encode_conditioning(image),)

    def patches(self, request: StepRequest, hint: PreparedHint, scales: Scales) -> Iterable[tuple[str, ControlPatch]]:
        """Raises ValueError for a video, whose tokens the network does not know."""
        if request.x.dim() == 5 and request.x.shape[2] != 1:
            raise ValueError(
                f"'{self.name}' controls pictures, but the latent is a video of {request.x.shape[2]} frames. Use an "
                "empty latent of one frame."
            )
        shift = AnimaShift(self.loaded.network, for_rows(hint[0], request), scales, request)
        places: list[tuple[str, ControlPatch]] = [
            (place, AnimaAttentionPatch(shift, layers)) for place, layers in ATTENTION.items()
        ]
        return [*places, ("mlp_patch", AnimaFeedForwardPatch(shift))]
