"""ControlNets of families that the host's own networks run, in our contract: the same schedule, masks, weights, batch
rules, preview and errors as for ours.

The host loads the file and knows how its network is called (`comfy.controlnet`, ComfyUI 0.3.75 and 0.33): which
conditionings it takes, whether its hint goes through the VAE. Ours are the hint's way to the network and all factors,
so that the host's control object (`inner`) never scales, chains or keeps a hint itself.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import comfy.controlnet
import comfy.model_management
import comfy.utils
import torch
from torch import Tensor

from ...controlnet.caching.tensor_cache import TensorCache
from ...controlnet.formats.format import Description
from ...controlnet.hint.fit import fit_hint
from ...controlnet.residuals import Residuals
from ..sampling.chain_sum import Places
from ..sampling.request import StepRequest
from ..sampling.step import Step
from .base_model_check import check_base, width_of
from .latent_hint import LatentHintControl, through_vae

MAX_HINTS = 8
PARTS = ("input", "output", "middle")
ACTIVATIONS = 24
"""Times the width of a token that a transformer block holds at its largest: queries, keys, values and the inner layer
of the feed-forward part, with copies."""


class WrappedControl(LatentHintControl):
    """One control of the host with its hint.

    inner: the host's own, alone in its chain. found: what its file says of it.
    """

    acts_at_once = True
    """The VAE may have to make room for itself, which is no time for in the middle of the base model's run."""
    rounds_as_host = True
    """It is the host's own network: so are all bits of the result."""
    last_first = False
    """Whether the base model takes its residuals from the end of the host's list on."""

    def __init__(self, name: str, inner: Any, found: Description) -> None:
        super().__init__()
        self.name, self.inner, self.found = name, inner, found
        self.family, self.residual_count = found.family, found.residuals or 0
        self.output_count = 0
        self.compression_ratio = self.latent_step = inner.compression_ratio
        self.latent_format, self.concat_mask = inner.latent_format, inner.concat_mask
        self._places: dict[str, tuple[tuple[int, ...], int]] = {}
        self._hints: TensorCache[Tensor] = TensorCache(MAX_HINTS)

    def copy(self) -> "WrappedControl":
        twin = type(self)(self.name, self.inner.copy(), self.found)
        self.copy_to(twin)
        return twin

    def deepclone_multigpu(self, load_device: torch.device, autoregister: bool = False) -> "WrappedControl":
        """A twin whose network lives on another device (newer hosts)."""
        twin = self.copy()
        twin.inner = self.inner.deepclone_multigpu(load_device)
        if autoregister:
            self.multigpu_clones[load_device] = twin
        return twin

    @property
    def network(self) -> Any:
        return self.inner.control_model

    @property
    def union_types(self) -> tuple[str, ...]:
        """Names of the kinds of hint by number; none for a network that knows one kind."""
        return self.found.union_types

    def set_cond_hint(self, *arguments: Any, **named: Any) -> "WrappedControl":
        """Raises ValueError for a missing VAE, or a union network that was not told the kind of its hint."""
        if self.union_types and "control_type" not in self.extra_args:
            raise ValueError(
                f"'{self.name}' is a union ControlNet and must be told what its hint shows: put Set Union ControlNet "
                f"Type before Apply ControlNet. It knows: {', '.join(self.union_types)}; auto tells it nothing."
            )
        super().set_cond_hint(*arguments, **named)
        return self

    def get_models(self) -> list[Any]:
        return [*super().get_models(), *self.inner.get_models()]

    def pre_run(self, model: Any, percent_to_timestep_function: Callable[[float], float]) -> None:
        """Raises ValueError when the base model is of another family."""
        check_base(self.found.family, width_of(getattr(self.inner, "control_model", None)), model)
        super().pre_run(model, percent_to_timestep_function)
        self.inner.pre_run(model, percent_to_timestep_function)

    def forget(self) -> None:
        super().forget()
        self.inner.cleanup()
        self._hints.clear()

    def inference_memory_requirements(self, dtype: torch.dtype) -> int:
        """Bytes of the residuals and of the largest activations, for cond and uncond at the size of the hint."""
        before = super().inference_memory_requirements(dtype)
        width = getattr(self.network, "hidden_size", getattr(self.network, "inner_dim", None))
        if self.strength == 0 or self.cond_hint_original is None or width is None:
            return before
        pictures, _, height, image_width = self.cond_hint_original.shape
        tokens = 2 * pictures * (height // 16) * (image_width // 16)
        sets = 1 if self.run_interval is None else 2
        blocks = sum(name.endswith(".weight") for name, _ in self.network.named_parameters() if "controlnet_" in name)
        return before + tokens * width * (sets * blocks + ACTIVATIONS) * comfy.model_management.dtype_size(dtype)

    def evaluate(self, request: StepRequest, needed: int) -> Residuals:
        """All residuals: the host's networks do not stop before their end."""
        inner, select = self.inner, request.select
        dtype = inner.manual_cast_dtype or self.network.dtype
        x, t = select(request.x), select(request.t)
        # Hunyuan-DiT writes its padding into the prompt it is given.
        context = select(request.step.context).to(x.device, dtype, copy=True)
        given = self.network(
            x=inner.model_sampling_current.calculate_input(t, x).to(dtype),
            hint=self._hint_rows(request, dtype),
            timesteps=inner.model_sampling_current.timestep(t).to(dtype),
            context=context,
            **{**inner.extra_args, **self.extra_args},
            **self._conditions(request, dtype),
        )
        return self._residuals(given)

    def places(self) -> Places:
        return self._places

    def _strength(self, step: Step, options: dict[str, Any]) -> float:
        strength = super()._strength(step, options)
        # The host runs the Fun network of Qwen-Image at the square root of the strength.
        fun = getattr(comfy.controlnet, "QwenFunControlNet", ())
        return math.sqrt(strength) if isinstance(self.inner, fun) else strength

    def _conditions(self, request: StepRequest, dtype: torch.dtype) -> dict[str, Any]:
        """What the network takes beside the prompt, for the rows that count."""
        rows, chosen = request.x.shape[0], {}
        for name in self.inner.extra_conds:
            value = request.cond.get(name)
            if value is None:
                continue
            if isinstance(value, Tensor):
                value = request.select(value) if value.dim() and value.shape[0] == rows else value
                value = value.to(request.x.device, dtype if value.is_floating_point() else value.dtype)
            chosen[name] = value
        return chosen

    def _residuals(self, given: Mapping[str, Any]) -> Residuals:
        """The host's lists without their gaps, which are the same at every step."""
        parts: dict[str, tuple[Tensor, ...]] = {}
        for part in PARTS:
            slots = given.get(part) or ()
            places = tuple(place for place, value in enumerate(slots) if value is not None)
            places = places[::-1] if self.last_first else places
            self._places[part] = places, len(slots)
            parts[part] = tuple(slots[place] for place in places)
        return Residuals(**parts)

    def _hint_rows(self, request: StepRequest, dtype: torch.dtype) -> Tensor:
        """What the network sees of the hints: one for all rows, or one for each that counts."""
        x, rows, image = request.x, request.rows, self.cond_hint_original
        hints = self._hints.get(image, (x.shape[-2:], self.fit, dtype), lambda: self._see(x).to(x.device, dtype))
        if hints.shape[0] == 1:
            return hints
        order = self.given_out(hints.shape[0], rows)
        return hints[[order[picture] for picture in request.pictures] * len(request.groups)]

    def _see(self, x: Tensor) -> Tensor:
        """All hints at the size of the latent, as pixels or through the VAE, with the masks of inpainting networks."""
        size = (x.shape[-2] * self.compression_ratio, x.shape[-1] * self.compression_ratio)
        seen = self.inner.preprocess_image(fit_hint(self.cond_hint_original, size, self.fit))
        if self.vae is not None:
            seen = through_vae(self.vae, seen)
        if self.latent_format is not None:
            seen = self.latent_format.process_in(seen)
        return torch.cat([seen, *(_beside(mask, seen) for mask in self.extra_concat_orig)], dim=1)


def _beside(mask: Tensor, hint: Tensor) -> Tensor:
    """A mask (B, C, H, W), brought to the size of a hint (B, C, h, w) or (B, C, frames, h, w)."""
    mask = comfy.utils.common_upscale(mask.to(hint.device), hint.shape[-1], hint.shape[-2], "nearest-exact", "center")
    if mask.dim() < hint.dim():
        mask = comfy.utils.repeat_to_batch_size(mask.unsqueeze(2), hint.shape[2], dim=2)
    return comfy.utils.repeat_to_batch_size(mask, hint.shape[0])
