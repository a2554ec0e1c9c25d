"""ControlNets of families that the host's own networks run: the same schedule, masks, weights and errors as for ours.

The host loads the file and knows how its network is called (`comfy.controlnet`, ComfyUI 0.3.75 and 0.33): which
conditionings it takes, whether its hint goes through the VAE. Ours are the hint's way to the network and all factors,
so that the host's control object (`core`) never scales, chains or keeps a hint itself.
"""

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any

import comfy.model_management
import comfy.utils
import torch
from torch import Tensor

from ...controlnet.formats.format import Description
from ...controlnet.residuals import PARTS, Residuals
from ..compat import qwen_fun_controls
from ..sampling.request import StepRequest
from .base_model_check import check_transformer_family, width_of
from .loaded_network import LoadedNetwork
from .runner import Abilities, HintView, PreparedHint, ResidualRunner, for_rows

ACTIVATIONS = 24
"""Times the width of a token that a transformer block holds at its largest: queries, keys, values and the inner layer
of the feed-forward part, with copies."""


class ComfyControlNetRunner(ResidualRunner):
    """One network of the host.

    core: the host's own control, alone in its chain. found: what its file says of it.
    """

    def __init__(self, name: str, core: Any, found: Description) -> None:
        abilities = Abilities(found.residuals or 0, rounds_as_core=True)
        super().__init__(self._load(name, core), found.family, abilities)
        self.core = core
        self.union_types = found.union_types
        self.stride, self.preprocess_image = core.compression_ratio, core.preprocess_image
        self.latent_format, self.concat_mask = core.latent_format, core.concat_mask
        self.inpaint_input = "black hint" if core.concat_mask else "none"

    def _load(self, name: str, core: Any) -> LoadedNetwork:
        network = core.control_model
        dtype = core.manual_cast_dtype or network.dtype
        return LoadedNetwork(name, network, core.control_model_wrapped, dtype, core.load_device)

    def on_device(self, device: torch.device) -> "ComfyControlNetRunner":
        twin = copy.copy(self)
        twin.core = self.core.deepclone_multigpu(device)
        twin.loaded = self._load(self.name, twin.core)
        return twin

    def check_base_model(self, base_model: Any) -> None:
        check_transformer_family(self.name, self.family, width_of(self.loaded.network), base_model)

    def begin(self, base_model: Any) -> None:
        """SD3.5's networks take an embedder of the base model's."""
        self.core.pre_run(base_model, float)

    def release(self) -> None:
        super().release()
        self.core.cleanup()

    def check_union_types(self, union_types: tuple[int, ...], chosen: bool) -> None:
        if self.union_types and not chosen:
            raise ValueError(
                f"'{self.name}' is a union ControlNet and must know what its hint shows: put Set Union ControlNet "
                f"Type before ControlNet Apply. It knows: {', '.join(self.union_types)}; auto tells it nothing."
            )

    def strength(self, strength: float) -> float:
        """The host runs the Fun network of Qwen-Image at the square root of the strength."""
        return math.sqrt(strength) if isinstance(self.core, qwen_fun_controls()) else strength

    def memory(self, hint_shape: torch.Size, dtype: torch.dtype, sets: int) -> int:
        width = getattr(self.loaded.network, "hidden_size", getattr(self.loaded.network, "inner_dim", None))
        if width is None:
            return 0
        image_count, _, height, image_width = hint_shape
        tokens = 2 * image_count * (height // 16) * (image_width // 16)
        names = (name for name, _ in self.loaded.network.named_parameters())
        blocks = sum(name.endswith(".weight") for name in names if "controlnet_" in name)
        return tokens * width * (sets * blocks + ACTIVATIONS) * comfy.model_management.dtype_size(dtype)

    def prepare_hint(self, view: HintView) -> PreparedHint:
        """Pixels, or latents with the masks of inpainting networks as further channels."""
        seen = view.pixels()
        if view.vae is not None:
            seen = view.vae_encode(seen)
        if self.latent_format is not None:
            seen = self.latent_format.process_in(seen)
        seen = torch.cat([seen, *(_beside(mask, seen) for mask in view.masks)], dim=1)
        return (seen.to(view.device, self.loaded.dtype),)

    def run(self, request: StepRequest, hint: Callable[[], PreparedHint]) -> Residuals:
        """All residuals: the host's networks do not stop before their end."""
        dtype, select = self.loaded.dtype, request.select
        x, t = select(request.x), select(request.t)
        given = self.loaded.call(
            x=request.model_sampling.calculate_input(t, x).to(dtype),
            hint=for_rows(hint()[0], request),
            timesteps=request.model_sampling.timestep(t).to(dtype),
            # A copy, since Hunyuan-DiT writes its padding into the prompt it is given.
            context=select(request.step.context).to(x.device, dtype, copy=True),
            **{**self.core.extra_args, **request.extra_args},
            **self._conditions(request),
        )
        return _without_gaps(given)

    def _conditions(self, request: StepRequest) -> dict[str, Any]:
        """The network's further inputs besides the prompt, for the active rows."""
        chosen = {}
        for name in self.core.extra_conds:
            value = request.cond.get(name)
            if value is None:
                continue
            if isinstance(value, Tensor):
                by_rows = value.dim() and value.shape[0] == request.row_count
                value = request.condition(value)
                value = request.select(value) if by_rows else value
                value = value.to(self.loaded.dtype) if value.is_floating_point() else value
            chosen[name] = value
        return chosen


def _without_gaps(given: Mapping[str, Any]) -> Residuals:
    """The host's lists, which may hold None, as residuals that know their places in these."""
    parts: dict[str, tuple[Tensor, ...]] = {}
    placement: dict[str, tuple[tuple[int, ...], int]] = {}
    for part in PARTS:
        values = given.get(part) or ()
        indices = tuple(index for index, value in enumerate(values) if value is not None)
        placement[part] = indices, len(values)
        parts[part] = tuple(values[index] for index in indices)
    return Residuals(**parts, placement=placement)


def _beside(mask: Tensor, hint: Tensor) -> Tensor:
    """A mask (B, C, H, W), brought to the size of a hint (B, C, h, w) or (B, C, frames, h, w)."""
    mask = comfy.utils.common_upscale(mask.to(hint.device), hint.shape[-1], hint.shape[-2], "nearest-exact", "center")
    if mask.dim() < hint.dim():
        mask = comfy.utils.repeat_to_batch_size(mask.unsqueeze(2), hint.shape[2], dim=2)
    return comfy.utils.repeat_to_batch_size(mask, hint.shape[0])
