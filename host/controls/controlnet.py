"""Our ControlNet network as a control of the host."""

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

import comfy.model_management
import torch
from torch import Tensor

from ...controlnet.caching.tensor_cache import TensorCache
from ...controlnet.hint.fit import fit_hint
from ...controlnet.hint.region import Region
from ...controlnet.networks.blocks import KeysValues
from ...controlnet.networks.controlnet import ControlNet, Inputs
from ...controlnet.networks.dimensions import family_name
from ...controlnet.networks.union import UnionControlNet, UnionHint
from ...controlnet.residuals import Residuals
from ..sampling.hint_batching import repeat_pictures
from ..sampling.request import StepRequest
from .control import ShapedControl
from .loaded_network import LoadedControl, LoadedNetwork

MAX_FITTED_HINTS = 8


class ZeroConvControl(LoadedControl[ControlNet]):
    """One ControlNet of the SD1.5, SD2.x or SDXL family with its hint."""

    supports_regions = True
    hint_scale = 8
    """Points of the hint, as the network sees it, to a latent point."""

    def __init__(self, loaded: LoadedNetwork[ControlNet]) -> None:
        super().__init__(loaded)
        self.residual_count = len(loaded.network.dims.residual_channels)
        self.output_count = self.residual_count - 1
        self.union_hints: tuple[UnionHint, ...] = ()
        """More hints of a union network, beside the one that Apply gives."""
        self._sampling: Any = None
        self._hints: TensorCache[Tensor] = TensorCache(MAX_FITTED_HINTS)

    def copy_to(self, c: ShapedControl) -> None:
        super().copy_to(c)
        if isinstance(c, ZeroConvControl):
            c.union_hints = self.union_hints

    def pre_run(self, model: Any, percent_to_timestep_function: Callable[[float], float]) -> None:
        """Raises ValueError when the network was made for another base model family or other kinds of hint."""
        super().pre_run(model, percent_to_timestep_function)
        check_family(self.loaded.network, model.model_config.unet_config)
        if isinstance(self.loaded.network, UnionControlNet):
            for kind in self.union_types:
                self.loaded.network.check_type(kind)
        self._sampling = model.model_sampling

    def forget(self) -> None:
        super().forget()
        self._sampling = None
        self._hints.clear()

    @property
    def union_types(self) -> tuple[int, ...]:
        """Kinds of all hints, the one of Apply first; empty when none was chosen, or for a plain network."""
        if not self.loaded.network.dims.union_types:
            return ()
        return (*self.extra_args.get("control_type", ()), *(item.type for item in self.union_hints))

    def inference_memory_requirements(self, dtype: torch.dtype) -> int:
        """Bytes of the residuals and of the largest activations, for cond and uncond at the size of the hint.

        With a run interval a second set of residuals is kept, for which as much again is plenty.
        """
        before = super().inference_memory_requirements(dtype)
        if self.strength == 0 or self.cond_hint_original is None:
            return before
        pictures, _, height, width = self.cond_hint_original.shape
        floats = self.loaded.network.memory_floats(2 * pictures, height // 8, width // 8)
        sets = 1 if self.run_interval is None else 2
        return before + sets * floats * comfy.model_management.dtype_size(self.loaded.dtype)

    def evaluate(self, request: StepRequest, needed: int) -> Residuals:
        rows = len(request.groups), len(request.pictures)
        return request.step.joint_runs.residuals(
            self._question(request, needed),
            self,
            rows,
            embed=lambda control: control.embed_hint(request),
            run=lambda hints, copies: self._run(request, needed, hints, copies),
        )

    def announce(self, request: StepRequest, needed: int) -> None:
        if not request.regions and not self.takes_frames:
            request.step.joint_runs.announce(self._question(request, needed), self)

    def _question(self, request: StepRequest, needed: int) -> Hashable:
        """Equal for controls that ask the same of the same network, but for their hints."""
        loaded = self.loaded
        return id(loaded), loaded.weights_state, self.union_types, request.groups, request.pictures, needed

    def _run(self, request: StepRequest, needed: int, hints: Tensor, copies: int) -> Residuals:
        """Of every picture `copies` times, with embedded hints for so many; or of each once, as it comes."""
        loaded, step, groups = self.loaded, request.step, len(request.groups)

        def select(values: Tensor) -> Tensor:
            return repeat_pictures(request.select(values), groups, copies)

        x, t, y = select(request.x), select(request.t), request.cond.get("y")
        inputs = Inputs(
            x=self._sampling.calculate_input(t, x).to(loaded.dtype),
            timesteps=self._sampling.timestep(t),
            y=None if y is None else select(y).to(x.device, loaded.dtype),
            groups=groups,
            shared=step.shared,
            shared_y=step.shared_y,
            uniform_time=step.uniform_time,
            union_types=self.union_types,
            options=request.options,
        )
        projected = self._project_context(request, copies)
        loaded.reuse.counts.forwards += 1
        loaded.reuse.counts.rows += x.shape[0]
        return loaded.network(inputs, hints, projected, needed)

    def _project_context(self, request: StepRequest, copies: int) -> list[KeysValues]:
        loaded, context, groups = self.loaded, request.step.context, len(request.groups)

        def project() -> list[KeysValues]:
            if copies > 1:
                once = self._project_context(request, 1)
                return [(repeat_pictures(k, groups, copies), repeat_pictures(v, groups, copies)) for k, v in once]
            loaded.reuse.counts.context_projections += 1
            return loaded.network.project_context(request.select(context).to(loaded.dtype))

        return loaded.reuse.contexts.get(context, (loaded.weights_state, request.kept, copies), project)

    def embed_hint(self, request: StepRequest) -> Tensor:
        """Embedded hints: one for all pictures, one for each that counts, or one for each row that does."""
        if not request.regions:
            return self._embed_part(request, None)
        parts = {region: self._embed_part(request, region) for region in dict.fromkeys(request.regions)}
        if len(parts) == 1:
            return parts[request.regions[0]]
        count = len(request.pictures)
        return torch.cat([parts[request.regions[group]].expand(count, -1, -1, -1) for group in request.groups])

    def _embed_part(self, request: StepRequest, region: Region | None) -> Tensor:
        """Embedded hints, or the part of them in a region: one for all pictures, or one for each that counts."""
        network, types, x = self.loaded.network, self.union_types, request.x
        hint = self._fit_hint(self.cond_hint_original, x, region)

        def embed() -> Tensor:
            self.loaded.reuse.counts.hint_embeddings += 1
            if not isinstance(network, UnionControlNet) or not types:
                return network.embed_hint(hint)
            others = [replace(item, hint=self._fit_hint(item.hint, x, region)) for item in self.union_hints]
            return network.embed_union([UnionHint(hint, types[0]), *others])

        embedded = self.loaded.reuse.hints.get(hint, (self.loaded.weights_state, types), embed)
        order = self.given_out(self.cond_hint_original.shape[0], request.rows)
        chosen = [order[picture] for picture in request.pictures]
        return embedded if chosen == list(range(embedded.shape[0])) else embedded[chosen]

    def _fit_hint(self, image: Tensor, x: Tensor, region: Region | None) -> Tensor:
        """All hints as the network sees them at the size of the latent; of a region its part of the whole."""
        ratio = self.compression_ratio
        height, width = (side * ratio for side in (x.shape[-2:] if region is None else region.whole))

        def fit() -> Tensor:
            seen = self._see(fit_hint(image, (height, width), self.fit))
            part = seen if region is None else region.cut(seen, self.hint_scale)
            return part.to(x.device, self.loaded.dtype)

        return self._hints.get(image, (height, width, self.fit, region), fit)

    def _see(self, pixels: Tensor) -> Tensor:
        """The hints (B, channels, 8h, 8w), 0..1, as the network takes them: as they are."""
        return self.preprocess_image(pixels)


def check_family(network: ControlNet, unet_config: dict[str, Any]) -> None:
    """Raise ValueError when the network and the base model are of two families.

    unet_config: the host's description of the base model's UNet (`model_config.unet_config`).
    """
    dims = network.dims
    base = family_name(unet_config.get("context_dim"), unet_config.get("adm_in_channels"))
    # A network without attention has no prompt width of its own: then the size vector alone tells.
    context_fits = dims.context_dim in (None, unet_config.get("context_dim"))
    if context_fits and dims.adm_channels == unet_config.get("adm_in_channels"):
        return
    raise ValueError(
        f"The ControlNet is for {dims.family}, but the MODEL is {base}. "
        f"Load a ControlNet made for {base}, or a checkpoint of {dims.family}."
    )
