"""ControlNet-LLLite in the host's contract: a shift of what the UNet's attention reads, for one step at a time."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import comfy.model_management
import torch
from torch import Tensor

from ...controlnet.caching.tensor_cache import TensorCache
from ...controlnet.hint.fit import fit_hint
from ...controlnet.networks.dimensions import family_name
from ...controlnet.networks.lllite import LLLite, Place
from ...controlnet.residuals import Residuals
from ...controlnet.strength.scaling import Scales, scale_residuals, spread_rows
from ..sampling.request import StepRequest
from .loaded_network import LoadedNetwork
from .patches import OurPatch, PatchingControl, add_patch

MAX_HINTS = 8
PATCHES = ("attn1", "attn2")


@dataclass(frozen=True)
class AttentionPatch(OurPatch):
    """What the host calls at every attention layer of one step, before its projections.

    attention: attn1 or attn2. hints: of each module, for the pictures that count. scales: for the shifts, with a
    factor for each of the network's blocks. kept: rows that count, None for all. rows: of the batch.
    """

    loaded: LoadedNetwork[LLLite]
    attention: str
    hints: dict[str, Tensor]
    scales: Scales
    kept: tuple[int, ...] | None
    rows: int

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, options: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
        """q, k, v: (rows, tokens, channels), what the three projections are about to read."""
        moved = (self._moved(name, tokens, options) for name, tokens in zip("qkv", (q, k, v), strict=True))
        return tuple(moved)  # pyright: ignore[reportReturnType]

    def _moved(self, name: str, tokens: Tensor, options: dict[str, Any]) -> Tensor:
        side, block = options["block"][:2]
        place = Place(side, block, options["block_index"], f"{self.attention}_to_{name}")
        network = self.loaded.network
        module = network.at(place)
        if module is None:
            return tokens
        hint = self.hints[network.places[place]]
        if tokens.shape[1] != hint.shape[1]:
            raise ValueError(
                f"'{self.loaded.name}' expects {hint.shape[1]} attention tokens, but there are {tokens.shape[1]}: "
                "another node merges tokens. Take it out, or use a ControlNet that is no LLLite."
            )
        own = tokens if self.kept is None else tokens[list(self.kept)]
        shift = Residuals((module(own.to(self.loaded.dtype), hint).to(tokens.dtype),), ())
        if self.kept is not None:
            shift = spread_rows(shift, self.kept, self.rows)
        blocks = self.scales.blocks
        factor = None if blocks is None else (blocks[network.blocks.index((side, block))],)
        return scale_residuals(shift, replace(self.scales, blocks=factor), [tokens]).output[0]


class LLLiteControl(PatchingControl[LLLite]):
    """One ControlNet-LLLite with its hint."""

    def __init__(self, loaded: LoadedNetwork[LLLite]) -> None:
        super().__init__(loaded)
        self.residual_count = len(loaded.network.blocks)
        self._hints: TensorCache[dict[str, Tensor]] = TensorCache(MAX_HINTS)

    def pre_run(self, model: Any, percent_to_timestep_function: Callable[[float], float]) -> None:
        """Raises ValueError when the base model is no SDXL of these widths."""
        super().pre_run(model, percent_to_timestep_function)
        check_base(self.loaded.network, model)

    def forget(self) -> None:
        super().forget()
        self._hints.clear()

    def inference_memory_requirements(self, dtype: torch.dtype) -> int:
        """Bytes of the hints as all modules keep them."""
        before = super().inference_memory_requirements(dtype)
        if self.strength == 0 or self.cond_hint_original is None:
            return before
        pictures, _, height, width = self.cond_hint_original.shape
        modules = self.loaded.network.dims.values()
        numbers = sum(dims.hint_width * (height * width // 64 // 4 ** (dims.depth - 1)) for dims in modules)
        return before + pictures * numbers * comfy.model_management.dtype_size(self.loaded.dtype)

    def patch(self, request: StepRequest) -> None:
        scales, hints = self.scales(request), self._embed(request)
        for attention in PATCHES:
            patch = AttentionPatch(self.loaded, attention, hints, scales, request.kept, request.x.shape[0])
            add_patch(request.options, f"{attention}_patch", patch)

    def _embed(self, request: StepRequest) -> dict[str, Tensor]:
        """Hints of each module: one for all pictures, or one for each that counts."""
        loaded, image, x = self.loaded, self.cond_hint_original, request.x
        height, width = (side * self.compression_ratio for side in x.shape[-2:])

        def embed() -> dict[str, Tensor]:
            loaded.reuse.counts.hint_embeddings += 1
            hint = fit_hint(image, (height, width), self.fit).to(x.device, loaded.dtype)
            return loaded.network.embed_hint(hint, (x.shape[-2], x.shape[-1]))

        embedded = self._hints.get(image, (height, width, self.fit, loaded.weights_state), embed)
        chosen = self.hint_of_pictures(request)
        return embedded if chosen is None else {name: hint[chosen] for name, hint in embedded.items()}


def check_base(network: LLLite, model: Any) -> None:
    """Raise ValueError when the base model has not the layers that the modules change.

    model: a `comfy.model_base.BaseModel`.
    """
    config = model.model_config.unet_config
    base = family_name(config.get("context_dim"), config.get("adm_in_channels"))
    if base != "SDXL":
        raise ValueError(
            f"The ControlNet-LLLite is for SDXL, but the MODEL is {base}. Load a ControlNet made for {base}, or a "
            "checkpoint of SDXL."
        )
    for place, name in network.places.items():
        found = _width(model.diffusion_model, place)
        if found != network.dims[name].width:
            raise ValueError(
                f"The ControlNet-LLLite does not fit this SDXL model: at '{name}' it expects tokens of "
                f"{network.dims[name].width} channels, the MODEL has {found or 'no such layer'}."
            )


def _width(unet: torch.nn.Module, place: Place) -> int | None:
    """Channels that a projection of the UNet reads; None when there is no such layer."""
    block = "middle_block" if place.side == "middle" else f"{place.side}_blocks.{place.block}"
    attention, _, projection = place.projection.partition("_")
    try:
        layer = unet.get_submodule(f"{block}.1.transformer_blocks.{place.layer}.{attention}.{projection}")
    except AttributeError:
        return None
    return getattr(layer, "in_features", None)
