"""ControlNet-LLLite: a shift of what the UNet's attention reads, for one step at a time."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import comfy.model_management
import torch
from torch import Tensor

from ...controlnet.networks.lllite import LLLite, Placement
from ...controlnet.residuals import Residuals
from ...controlnet.strength.scaling import Scales, scale_residuals, spread_rows
from ..sampling.patches import ControlPatch
from ..sampling.request import StepRequest
from .base_model_check import base_family
from .loaded_network import LoadedNetwork
from .runner import Abilities, HintView, PatchRunner, PreparedHint

PATCHES = ("attn1", "attn2")


@dataclass(frozen=True, eq=False)
class AttentionPatch(ControlPatch):
    """The patch that the host calls at every attention layer of one step, before its projections.

    attention: attn1 or attn2. hints: of each module, one row or one for each active item. scales: for the shifts, with
    a factor for each of the network's blocks.
    """

    loaded: LoadedNetwork[LLLite]
    attention: str
    hints: dict[str, Tensor]
    scales: Scales
    request: StepRequest

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, options: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
        """q, k, v: (rows, tokens, channels), what the three projections are about to read."""
        q, k, v = (self._shifted(name, tokens, options) for name, tokens in zip("qkv", (q, k, v), strict=True))
        return q, k, v

    def _shifted(self, name: str, tokens: Tensor, options: dict[str, Any]) -> Tensor:
        part, block = options["block"][:2]
        placement = Placement(part, block, options["block_index"], f"{self.attention}_to_{name}")
        network = self.loaded.network
        module = network.at(placement)
        if module is None:
            return tokens
        hint = self.hints[network.placements[placement]]
        if tokens.shape[1] != hint.shape[1]:
            raise ValueError(
                f"'{self.loaded.name}' expects {hint.shape[1]} attention tokens, but there are {tokens.shape[1]}. "
                "Another node changes their number: one that merges them (ToMe), or that makes the picture smaller "
                "inside the UNet (Deep Shrink, PatchModelAddDownscale). Take it out, or use another kind of ControlNet."
            )
        shift = Residuals((module(self.request.select(tokens).to(self.loaded.dtype), hint).to(tokens.dtype),), ())
        if self.request.active_rows is not None:
            constants = self.request.step.kept.constants
            shift = spread_rows(shift, self.request.active_rows, self.request.row_count, constants)
        blocks = self.scales.blocks
        factor = None if blocks is None else (blocks[network.blocks.index((part, block))],)
        return scale_residuals(shift, replace(self.scales, blocks=factor), [tokens]).output[0]


class LLLiteRunner(PatchRunner):
    """One ControlNet-LLLite. Its prepared hint has a tensor for each of its modules, in their order."""

    loaded: LoadedNetwork[LLLite]

    def __init__(self, loaded: LoadedNetwork[LLLite]) -> None:
        abilities = Abilities(len(loaded.network.blocks), output_count=0, divisible=False)
        super().__init__(loaded, "SDXL", abilities)

    def check_base_model(self, base_model: Any) -> None:
        """Raise ValueError when the base model does not have the layers that the modules change."""
        base = base_family(base_model)
        if base != "SDXL":
            raise ValueError(
                f"The ControlNet-LLLite is for SDXL, but the MODEL is {base}. Load a ControlNet made for {base} in "
                f"place of '{self.name}', or a checkpoint of SDXL."
            )
        network = self.loaded.network
        for placement, name in network.placements.items():
            found = _width(base_model.diffusion_model, placement)
            if found != network.dims[name].width:
                raise ValueError(
                    f"The ControlNet-LLLite '{self.name}' does not fit this SDXL model: at '{name}' it expects tokens "
                    f"of {network.dims[name].width} channels, the MODEL has {found or 'no such layer'}."
                )

    def memory(self, hint_shape: torch.Size, dtype: torch.dtype, sets: int) -> int:
        """Bytes of the hints as all modules keep them."""
        image_count, _, height, width = hint_shape
        modules = self.loaded.network.dims.values()
        numbers = sum(dims.hint_width * (height * width // 64 // 4 ** (dims.depth - 1)) for dims in modules)
        return image_count * numbers * comfy.model_management.dtype_size(self.loaded.dtype)

    def prepare_hint(self, view: HintView) -> PreparedHint:
        self.loaded.cache.counts.hint_embeddings += 1
        hint = view.pixels().to(view.device, self.loaded.dtype)
        return tuple(self.loaded.network.embed_hint(hint, view.size).values())

    def patches(self, request: StepRequest, hint: PreparedHint, scales: Scales) -> Iterable[tuple[str, ControlPatch]]:
        hints = dict(zip(self.loaded.network.module_names, hint, strict=True))
        for attention in PATCHES:
            yield f"{attention}_patch", AttentionPatch(self.loaded, attention, hints, scales, request)


def _width(unet: torch.nn.Module, placement: Placement) -> int | None:
    """Channels that a projection of the UNet reads; None when there is no such layer."""
    block = "middle_block" if placement.part == "middle" else f"{placement.part}_blocks.{placement.block}"
    attention, _, projection = placement.projection.partition("_")
    try:
        layer = unet.get_submodule(f"{block}.1.transformer_blocks.{placement.layer}.{attention}.{projection}")
    except AttributeError:
        return None
    return getattr(layer, "in_features", None)
