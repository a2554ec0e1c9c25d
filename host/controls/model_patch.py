"""Model patches in the host's contract: networks of the host that add to the tokens behind the base model's blocks.

The host's own nodes patch the MODEL for a whole sampling at one strength (`comfy_extras/nodes_model_patch.py`,
ComfyUI 0.3.75 and 0.33). Here the same networks act through the conditioning, as every control does: at a step, at a
strength that may change, on a part of the picture.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import comfy.model_management
import torch
from torch import Tensor, nn

from ...controlnet.caching.tensor_cache import TensorCache
from ...controlnet.formats.format import Description
from ...controlnet.formats.model_patch import REFINING_BLOCKS
from ...controlnet.hint.fit import fit_hint
from ...controlnet.residuals import Residuals
from ...controlnet.strength.scaling import Scales, scale_residuals, spread_rows
from ..sampling.request import StepRequest
from .base_model_check import check_base
from .comfy_controlnet import ACTIVATIONS, MAX_HINTS
from .latent_hint import LatentHintControl, through_vae
from .loaded_network import LoadedNetwork
from .patches import OurPatch, PatchingControl, add_patch

Z_IMAGE_BLOCKS = 30
"""Blocks of the base model, over which the control's layers are spread evenly."""


@dataclass
class TokenPatch(OurPatch):
    """What the host calls behind every block of one step.

    hint: what the network sees of it, of one row or of each row that counts. scales: for its residuals, with a factor
    for each. kept: rows that count, None for all. rows: of the batch.
    """

    network: Any
    hint: Tensor
    scales: Scales
    kept: tuple[int, ...] | None
    rows: int

    def own(self, values: Tensor) -> Tensor:
        """The rows that count, of values for every row or for all together."""
        return values if self.kept is None or values.shape[0] != self.rows else values[list(self.kept)]

    def factor(self, place: int) -> float:
        """Of a residual alone."""
        return 1.0 if self.scales.blocks is None else self.scales.blocks[place]

    def add(self, tokens: Tensor, residual: Tensor, place: int) -> None:
        """Add a residual to the first tokens, in place. place: of the residual, in order of depth."""
        given = Residuals((residual,), ())
        if self.kept is not None:
            given = spread_rows(given, self.kept, self.rows)
        factors = None if self.scales.blocks is None else (self.factor(place),)
        scaled = scale_residuals(given, replace(self.scales, blocks=factors)).output[0]
        tokens[:, : scaled.shape[1]] += scaled


class BlockwisePatch(TokenPatch):
    """Qwen-Image: every block's tokens and the hint's make a residual of their own."""

    def __call__(self, given: dict[str, Any]) -> dict[str, Any]:
        tokens, block = given["img"], given["block_index"]
        if block < len(self.network.controlnet_blocks) and self.factor(block) != 0:
            seen, hint = self.own(tokens[:, : self.hint.shape[1]]), self.hint.to(tokens)
            self.add(tokens, self.network.control_block(seen, hint, block), block)
        return given


@dataclass
class ZImagePatch(TokenPatch):
    """Z-Image: a second row of blocks runs beside the base model's; each gives a residual to one of those.

    state: its tokens, from one block to the next.
    """

    state: Tensor | None = None

    def __call__(self, given: dict[str, Any]) -> dict[str, Any]:
        network, block = self.network, given["block_index"]
        refining = given.get("block_type") == "noise_refiner"
        around = self.own(given["pe"]), self.own(given["vec"])
        state = network(given["txt"], self.hint.to(given["img"]), *around) if self.state is None else self.state
        seen = self.own(given["img_input"])[:, : state.shape[1]]
        if refining:
            residual, self.state = network.forward_noise_refiner_block(block, state, seen, None, *around)
            if residual is not None:
                self.add(given["img"], residual, block)
            return {}
        every = round(Z_IMAGE_BLOCKS / network.n_control_layers)
        layer, rest = divmod(block, every)
        if rest == 0 and layer < network.n_control_layers:
            residual, self.state = network.forward_control_block(layer, state, seen, None, *around)
            self.add(given["img"], residual, layer + REFINING_BLOCKS * network.refiner_control)
        return {}


@dataclass(frozen=True)
class PatchKind:
    """A kind of model patch. places: in the base model. patch: called there.

    see: (network, latent of the hint, of a grey picture, masks) -> what the network sees. grey: whether it wants the
    grey picture's latent.
    """

    places: tuple[str, ...]
    patch: Callable[..., TokenPatch]
    see: Callable[[Any, Tensor, Tensor | None, list[Tensor]], Tensor]
    latent_format: Any
    width: int
    grey: bool = False
    masked: bool = False


class ModelPatchControl(LatentHintControl, PatchingControl[nn.Module]):
    """One model patch with its hint. found: what its file says of it."""

    def __init__(self, loaded: LoadedNetwork[nn.Module], kind: PatchKind, found: Description) -> None:
        super().__init__(loaded)
        self.kind, self.found, self.family = kind, found, found.family
        self.residual_count = found.residuals or 0
        self.compression_ratio = 1
        self.latent_format, self.concat_mask = kind.latent_format, kind.masked
        self._hints: TensorCache[Tensor] = TensorCache(MAX_HINTS)

    def copy(self) -> "ModelPatchControl":
        twin = type(self)(self.loaded, self.kind, self.found)
        self.copy_to(twin)
        return twin

    def pre_run(self, model: Any, percent_to_timestep_function: Callable[[float], float]) -> None:
        """Raises ValueError when the base model is of another family."""
        check_base(self.found.family, self.kind.width, model)
        super().pre_run(model, percent_to_timestep_function)

    def forget(self) -> None:
        super().forget()
        self._hints.clear()

    def inference_memory_requirements(self, dtype: torch.dtype) -> int:
        """Bytes of the largest activations, for cond and uncond at the size of the hint."""
        before = super().inference_memory_requirements(dtype)
        if self.strength == 0 or self.cond_hint_original is None:
            return before
        pictures, _, height, width = self.cond_hint_original.shape
        tokens = 2 * pictures * (height // 16) * (width // 16)
        return before + tokens * self.kind.width * ACTIVATIONS * comfy.model_management.dtype_size(dtype)

    def patch(self, request: StepRequest) -> None:
        rows, hints = request.x.shape[0], self._hint_rows(request)
        patch = self.kind.patch(self.loaded.network, hints, self.scales(request), request.kept, rows)
        for place in self.kind.places:
            add_patch(request.options, place, patch)

    def _hint_rows(self, request: StepRequest) -> Tensor:
        """What the network sees of the hints: one for all rows, or one for each that counts."""
        x, image = request.x, self.cond_hint_original
        key = (x.shape[-2:], self.fit, self.loaded.weights_state)
        hints = self._hints.get(image, key, lambda: self._see(x))
        if hints.shape[0] == 1:
            return hints
        chosen = self.hint_of_pictures(request)
        return (hints if chosen is None else hints[chosen]).repeat(len(request.groups), *(1,) * (hints.dim() - 1))

    def _see(self, x: Tensor) -> Tensor:
        """All hints at the size of the latent as the network takes them."""
        self.loaded.reuse.counts.hint_embeddings += 1
        size = (x.shape[-2] * self.compression_ratio, x.shape[-1] * self.compression_ratio)
        pixels = fit_hint(self.cond_hint_original, size, self.fit)
        grey = through_vae(self.vae, torch.full_like(pixels, 0.5)).to(x.device) if self.kind.grey else None
        seen = through_vae(self.vae, pixels).to(x.device)
        return self.kind.see(self.loaded.network, seen, grey, self.extra_concat_orig)
