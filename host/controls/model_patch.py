"""Model patches: networks of the host that add to the tokens behind the base model's blocks.

The host's own nodes patch the MODEL for a whole sampling at one strength (`comfy_extras/nodes_model_patch.py`,
ComfyUI 0.3.75 and 0.33). Here the same networks act through the conditioning, as every control does: at a step, at a
strength that may change, on a part of the picture.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import comfy.model_management
import torch
from torch import Tensor, nn

from ...controlnet.formats.format import Description
from ...controlnet.formats.model_patch import REFINING_BLOCKS
from ...controlnet.hint.inpaint import InpaintInput
from ...controlnet.residuals import Residuals
from ...controlnet.strength.scaling import Scales, scale_residuals, spread_rows
from ..sampling.patches import ControlPatch
from ..sampling.request import StepRequest
from .base_model_check import check_transformer_family
from .comfy_controlnet import ACTIVATIONS
from .loaded_network import LoadedNetwork
from .runner import Abilities, HintView, PatchRunner, PreparedHint, for_rows

Z_IMAGE_BLOCKS = 30
"""Blocks of the base model, over which the control's layers are spread evenly."""


@dataclass(eq=False)
class TokenPatch(ControlPatch):
    """The patch that the host calls after every block of one step.

    hint: what the network sees of it, of one row or of each active row. scales: for its residuals, with a factor for
    each.
    """

    network: Any
    hint: Tensor
    scales: Scales
    request: StepRequest

    def own(self, values: Tensor) -> Tensor:
        """The active rows, of values for every row or for all together."""
        return self.request.select(values) if values.shape[0] == self.request.row_count else values

    def factor(self, index: int) -> float:
        """The block weight of one residual, in order of depth."""
        return 1.0 if self.scales.blocks is None else self.scales.blocks[index]

    def add(self, tokens: Tensor, residual: Tensor, index: int, offset: int = 0) -> None:
        """Add a residual to the tokens from an offset on, in place. index: of the residual, in order of depth."""
        residuals = Residuals((residual,), ())
        if self.request.active_rows is not None:
            constants = self.request.step.kept.constants
            residuals = spread_rows(residuals, self.request.active_rows, self.request.row_count, constants)
        factors = None if self.scales.blocks is None else (self.factor(index),)
        scaled = scale_residuals(residuals, replace(self.scales, blocks=factors)).output[0]
        tokens[:, offset : offset + scaled.shape[1]] += scaled


class BlockwisePatch(TokenPatch):
    """Qwen-Image: every block's tokens and the hint's make a residual of their own."""

    def __call__(self, given: dict[str, Any]) -> dict[str, Any]:
        tokens, block = given["img"], given["block_index"]
        if block < len(self.network.controlnet_blocks) and self.factor(block) != 0:
            seen, hint = self.own(tokens[:, : self.hint.shape[1]]), self.hint.to(tokens)
            self.add(tokens, self.network.control_block(seen, hint, block), block)
        return given


@dataclass(eq=False)
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

    see: (network, latent of the hint, what it is told of inpainting) -> what the network sees. latent_format: the
    host's. width: channels of a token. inpaint_input: whether and how it takes a picture to complete.
    """

    places: tuple[str, ...]
    patch: Callable[..., TokenPatch]
    see: Callable[[Any, Tensor, HintView], Tensor]
    latent_format: Any
    width: int
    inpaint_input: InpaintInput = "none"


class ModelPatchRunner(PatchRunner):
    """One model patch. found: what its file says of it."""

    stride = 1

    def __init__(self, kind: PatchKind, loaded: LoadedNetwork[nn.Module], found: Description) -> None:
        super().__init__(loaded, found.family, Abilities(found.residuals or 0, output_count=0, divisible=False))
        self.kind, self.latent_format, self.inpaint_input = kind, kind.latent_format, kind.inpaint_input
        self.concat_mask = kind.inpaint_input == "hint"

    def check_base_model(self, base_model: Any) -> None:
        check_transformer_family(self.name, self.family, self.kind.width, base_model)

    def memory(self, hint_shape: torch.Size, dtype: torch.dtype, sets: int) -> int:
        image_count, _, height, width = hint_shape
        tokens = 2 * image_count * (height // 16) * (width // 16)
        return tokens * self.kind.width * ACTIVATIONS * comfy.model_management.dtype_size(dtype)

    def prepare_hint(self, view: HintView) -> PreparedHint:
        self.loaded.cache.counts.hint_embeddings += 1
        return (self.kind.see(self.loaded.network, view.vae_encode(view.pixels()), view),)

    def patches(self, request: StepRequest, hint: PreparedHint, scales: Scales) -> Iterable[tuple[str, ControlPatch]]:
        patch = self.kind.patch(self.loaded.network, for_rows(hint[0], request), scales, request)
        return [(place, patch) for place in self.kind.places]
