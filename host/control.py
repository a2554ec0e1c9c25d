"""The control object that ComfyUI's sampler calls: our network inside the host's contract.

The contract is `comfy.controlnet.ControlBase` (ComfyUI 0.3.75): set_cond_hint, pre_run, get_control, cleanup, copy.
Core never calls `cleanup` when a run fails or is cancelled, so `pre_run` resets as well.
"""

import copy
import ctypes
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.utils
import torch
from comfy.controlnet import ControlBase
from torch import Tensor

from ..controlnet.dimensions import family_name
from ..controlnet.network import ControlNet, Inputs
from ..controlnet.residuals import Residuals
from ..controlnet.reuse import Reuse
from .step import STEP_OPTION, Step, StepReader

Control = dict[str, list[Tensor | None]]
"""What the host's models read: lists `input`, `middle`, `output`."""

MAX_HINT_SIZES = 4


@dataclass(frozen=True)
class LoadedNetwork:
    """A network in the host's memory management, and what it keeps; shared by all controls made from one file."""

    network: ControlNet
    patcher: Any
    dtype: torch.dtype
    load_device: torch.device
    reuse: Reuse

    @classmethod
    def wrap(cls, network: ControlNet, dtype: torch.dtype, load_device: torch.device) -> "LoadedNetwork":
        patcher_class = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)
        offload_device = comfy.model_management.unet_offload_device()
        patcher = patcher_class(network, load_device=load_device, offload_device=offload_device)
        return cls(network, patcher, dtype, load_device, Reuse())


class ZeroConvControl(ControlBase):
    """One ControlNet with its hint, strength and range, and the controls before it in the chain."""

    def __init__(self, loaded: LoadedNetwork) -> None:
        super().__init__()
        self.loaded = loaded
        self._sampling: Any = None
        self._hints: OrderedDict[tuple[int, int], Tensor] = OrderedDict()
        self._steps = StepReader()

    def copy(self) -> "ZeroConvControl":
        twin = ZeroConvControl(self.loaded)
        self.copy_to(twin)
        return twin

    def deepclone_multigpu(self, load_device: torch.device, autoregister: bool = False) -> "ZeroConvControl":
        """A twin whose network lives on another device (newer hosts)."""
        twin = self.copy()
        network = copy.deepcopy(self.loaded.network)
        twin.loaded = LoadedNetwork.wrap(network, self.loaded.dtype, load_device)
        if autoregister:
            self.multigpu_clones[load_device] = twin
        return twin

    def get_models(self) -> list[Any]:
        return [*super().get_models(), self.loaded.patcher]

    def pre_run(self, model: Any, percent_to_timestep_function: Callable[[float], float]) -> None:
        """Raises ValueError when the network was made for another base model family."""
        super().pre_run(model, percent_to_timestep_function)
        self._forget()
        check_family(self.loaded.network, model.model_config.unet_config)
        self._sampling = model.model_sampling

    def cleanup(self) -> None:
        super().cleanup()
        self._forget()

    def _forget(self) -> None:
        self._sampling = None
        self._hints.clear()
        self._steps.clear()
        self.loaded.reuse.clear()

    def inference_memory_requirements(self, dtype: torch.dtype) -> int:
        """Bytes of the residuals and of the largest activations, for cond and uncond at the size of the hint."""
        before = super().inference_memory_requirements(dtype)
        if self.strength == 0 or self.cond_hint_original is None:
            return before
        pictures, _, height, width = self.cond_hint_original.shape
        floats = self.loaded.network.memory_floats(2 * pictures, height // 8, width // 8)
        return before + floats * comfy.model_management.dtype_size(self.loaded.dtype)

    def get_control(
        self, x_noisy: Tensor, t: Tensor, cond: dict[str, Any], batched_number: int, transformer_options: dict[str, Any]
    ) -> Control | None:
        """Residuals of this control and of those before it; None when none acts at this step."""
        step = transformer_options.get(STEP_OPTION) or self._steps.read(x_noisy, t, cond, batched_number)
        previous = None
        if self.previous_controlnet is not None:
            options = {**transformer_options, STEP_OPTION: step}
            previous = self.previous_controlnet.get_control(x_noisy, t, cond, batched_number, options)
        if not self._acts(step):
            return previous
        residuals = self._evaluate(step, x_noisy, t, cond, batched_number, transformer_options)
        return self._merge(residuals, previous)

    def _acts(self, step: Step) -> bool:
        if self.strength == 0:
            return False
        if self.timestep_range is None:
            return True
        start, end = (_float32(bound) for bound in self.timestep_range)
        return end <= step.sigma <= start

    def _evaluate(
        self, step: Step, x: Tensor, t: Tensor, cond: dict[str, Any], groups: int, options: dict[str, Any]
    ) -> Residuals:
        loaded = self.loaded
        network, reuse, dtype = loaded.network, loaded.reuse, loaded.dtype
        token = (getattr(loaded.patcher, "patches_uuid", None), dtype)
        hint = self._fit_hint(x, groups)
        y = cond.get("y")
        inputs = Inputs(
            x=self._sampling.calculate_input(t, x).to(dtype),
            timesteps=self._sampling.timestep(t),
            y=None if y is None else y.to(x.device, dtype),
            groups=groups,
            shared=step.shared,
            shared_y=step.shared_y,
            uniform_time=step.uniform_time,
            options=options,
        )

        def embed() -> Tensor:
            reuse.counts.hint_embeddings += 1
            return network.embed_hint(hint)

        def project() -> list[tuple[Tensor, Tensor]]:
            reuse.counts.context_projections += 1
            return network.project_context(step.context.to(dtype))

        embedded = reuse.hints.get(hint, token, embed)
        projected = reuse.contexts.get(step.context, token, project)
        reuse.counts.forwards += 1
        return network(inputs, embedded, projected)

    def _fit_hint(self, x: Tensor, groups: int) -> Tensor:
        """The hint at the pixel size of the latent: (1 or pictures, channels, 8h, 8w), resized as core does."""
        pictures = x.shape[0] // groups
        given = self.cond_hint_original.shape[0]
        if given not in (1, pictures):
            raise ValueError(
                f"The hint of a ControlNet has {given} images, but {pictures} latents are sampled together. "
                "Give one hint image, or as many as the latent batch holds."
            )
        size = (x.shape[-2] * self.compression_ratio, x.shape[-1] * self.compression_ratio)
        if size not in self._hints:
            hint = comfy.utils.common_upscale(
                self.cond_hint_original, size[1], size[0], self.upscale_algorithm, "center"
            )
            self._hints[size] = self.preprocess_image(hint).to(x.device, self.loaded.dtype)
            if len(self._hints) > MAX_HINT_SIZES:
                self._hints.popitem(last=False)
        return self._hints[size]

    def _merge(self, residuals: Residuals, previous: Control | None) -> Control:
        """Scale by the strength and add what the controls before gave; in place, since the residuals are ours."""
        merged: Control = {}
        for part in ("input", "middle", "output"):
            own = [self._scale(residual) for residual in getattr(residuals, part)]
            merged[part] = _add(own, previous.get(part) or [] if previous is not None else [])
        return merged

    def _scale(self, residual: Tensor) -> Tensor:
        pooled = residual.mean(dim=(2, 3), keepdim=True) if self.global_average_pooling else residual
        if self.strength != 1.0:
            pooled = pooled.mul_(self.strength)
        return pooled.expand_as(residual).contiguous() if self.global_average_pooling else pooled


def _add(own: list[Tensor], before: list[Tensor | None]) -> list[Tensor | None]:
    """Sum two lists of residuals index by index; the longer one sets the length."""
    merged: list[Tensor | None] = []
    for index in range(max(len(own), len(before))):
        mine = own[index] if index < len(own) else None
        other = before[index] if index < len(before) else None
        if mine is None or other is None:
            merged.append(mine if other is None else other)
        elif mine.shape == other.shape:
            merged.append(mine.add_(other))
        else:
            merged.append(mine + other)
    return merged


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


def _float32(value: float) -> float:
    """The value as the host's float32 sigmas see it, so that equal bounds compare equal."""
    return ctypes.c_float(value).value
