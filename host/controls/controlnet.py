"""ControlNets of SD1.5, SD2.x and SDXL, union networks among them."""

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

import comfy.model_management
import torch
from torch import Tensor

from ...controlnet.networks.blocks import KeysValues
from ...controlnet.networks.controlnet import ControlNet, Inputs
from ...controlnet.networks.union import UNION_TYPES, UnionControlNet, UnionHint
from ...controlnet.residuals import Residuals
from ..sampling.chain_sum import unet_placement
from ..sampling.hint_batching import repeat_items
from ..sampling.request import StepRequest
from .base_model_check import check_unet_family
from .loaded_network import LoadedNetwork
from .runner import HINT_STRIDE, Abilities, HintView, PreparedHint, ResidualRunner


class ControlNetRunner(ResidualRunner):
    """One ControlNet. Its prepared hint is the embedded one: (B, width, h, w), as large as the latent.

    hint_scale: points of the hint, as its first layer takes it, to a latent point.
    """

    loaded: LoadedNetwork[ControlNet]
    hint_scale = HINT_STRIDE

    def __init__(self, loaded: LoadedNetwork[ControlNet], family: str | None = None, frames: bool = False) -> None:
        network = loaded.network
        count = len(network.dims.residual_channels)
        abilities = Abilities(count, output_count=count - 1, regions=True, frames=frames)
        super().__init__(loaded, family or network.dims.family, abilities)
        if isinstance(network, UnionControlNet):
            self.union_types = UNION_TYPES[: network.dims.union_types]

    def check_base_model(self, base_model: Any) -> None:
        dims = self.loaded.network.dims
        check_unet_family(self.name, dims.family, dims.context_dim, dims.adm_channels, base_model)

    def check_union_types(self, union_types: tuple[int, ...], chosen: bool) -> None:
        network = self.loaded.network
        if isinstance(network, UnionControlNet):
            for number in union_types:
                network.check_type(number)

    def memory(self, hint_shape: torch.Size, dtype: torch.dtype, sets: int) -> int:
        image_count, _, height, width = hint_shape
        floats = self.loaded.network.memory_floats(2 * image_count, height // HINT_STRIDE, width // HINT_STRIDE)
        return sets * floats * comfy.model_management.dtype_size(self.loaded.dtype)

    def prepare_hint(self, view: HintView) -> PreparedHint:
        network, hint = self.loaded.network, self._hint_in(view, view.image)
        self.loaded.cache.counts.hint_embeddings += 1
        if not isinstance(network, UnionControlNet) or not view.union_types:
            return (network.embed_hint(hint),)
        others = [replace(other, hint=self._hint_in(view, other.hint)) for other in view.union_hints]
        return (network.embed_union([UnionHint(hint, view.union_types[0]), *others]),)

    def _hint_in(self, view: HintView, image: Tensor) -> Tensor:
        """A hint as the first layer takes it; of a region its part of the whole."""
        hint = self.network_input(view, view.pixels(image))
        part = hint if view.region is None else view.region.cut(hint, self.hint_scale)
        return part.to(view.device, self.loaded.dtype)

    def network_input(self, view: HintView, pixels: Tensor) -> Tensor:
        """The hint encoder's input for hints (B, 3, 8h, 8w), 0..1: here the pixels themselves."""
        return pixels

    def announce(self, request: StepRequest, hint: Callable[[], PreparedHint]) -> None:
        if not request.regions and not self.abilities.frames:
            request.step.hint_batches.announce(self._question(request), request, lambda: hint()[0])

    def run(self, request: StepRequest, hint: Callable[[], PreparedHint]) -> Residuals:
        residuals = request.step.hint_batches.residuals(
            self._question(request),
            request,
            (len(request.active_groups), len(request.active_items)),
            hint=lambda: hint()[0],
            run=lambda hints, copies: self._forward(request, hints, copies),
        )
        output_count = self.abilities.residual_count - 1
        return replace(residuals, placement=unet_placement(output_count, self.abilities.residual_count))

    def _question(self, request: StepRequest) -> Hashable:
        """Equal for requests that ask the same of the same network, but for their hints."""
        rows = request.active_groups, request.active_items
        return id(self.loaded), self.loaded.weights_state, request.union_types, rows, request.needed

    def _forward(self, request: StepRequest, hints: Tensor, copies: int) -> Residuals:
        """Evaluate the network for every item `copies` times, with embedded hints for so many."""
        loaded, step, group_count = self.loaded, request.step, len(request.active_groups)

        def select(values: Tensor) -> Tensor:
            return repeat_items(request.select(values), group_count, copies)

        x, t, y = select(request.x), select(request.t), request.cond.get("y")
        inputs = Inputs(
            x=request.model_sampling.calculate_input(t, x).to(loaded.dtype),
            timesteps=request.model_sampling.timestep(t),
            y=None if y is None else select(request.condition(y)).to(loaded.dtype),
            groups=group_count,
            shared=request.shared,
            shared_y=step.shared_y,
            uniform_time=step.uniform_time,
            union_types=request.union_types,
        )
        projected = self._project_context(request, copies)
        loaded.cache.counts.forwards += 1
        loaded.cache.counts.rows += x.shape[0]
        return loaded.call(inputs, hints, projected, request.needed)

    def _project_context(self, request: StepRequest, copies: int) -> list[KeysValues]:
        loaded, context, group_count = self.loaded, request.step.context, len(request.active_groups)

        def project() -> list[KeysValues]:
            if copies > 1:
                once = self._project_context(request, 1)
                return [(repeat_items(k, group_count, copies), repeat_items(v, group_count, copies)) for k, v in once]
            loaded.cache.counts.context_projections += 1
            return loaded.network.project_context(request.select(context).to(loaded.dtype))

        return loaded.cache.contexts.get(context, (loaded.weights_state, request.active_rows, copies), project)
