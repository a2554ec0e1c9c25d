"""The control object that ComfyUI's sampler calls: our network inside the host's contract.

The contract is `comfy.controlnet.ControlBase` (ComfyUI 0.3.75): set_cond_hint, pre_run, get_control, cleanup, copy.
Core never calls `cleanup` when a run fails or is cancelled, so `pre_run` resets as well.
"""

import copy
import ctypes
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.utils
import torch
from comfy.controlnet import ControlBase
from torch import Tensor

from ..controlnet.blocks import KeysValues
from ..controlnet.dimensions import family_name
from ..controlnet.network import ControlNet, Inputs
from ..controlnet.residuals import Residuals
from ..controlnet.reuse import Memory, Reuse
from ..controlnet.union import UnionControlNet, UnionHint
from .merge import Control, merge
from .step import STEP_OPTION, Step, StepReader

MAX_FITTED_HINTS = 8


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
        self.union_hints: tuple[UnionHint, ...] = ()
        """More hints of a union network, beside the one that Apply gives."""
        self._sampling: Any = None
        self._hints: Memory[Tensor] = Memory(MAX_FITTED_HINTS)
        self._steps = StepReader()

    def copy(self) -> "ZeroConvControl":
        twin = ZeroConvControl(self.loaded)
        self.copy_to(twin)
        twin.union_hints = self.union_hints
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
        if isinstance(self.loaded.network, UnionControlNet):
            for kind in self.union_types:
                self.loaded.network.check_type(kind)
        self._sampling = model.model_sampling

    @property
    def union_types(self) -> tuple[int, ...]:
        """Kinds of all hints, the one of Apply first; empty when none was chosen, or for a plain network."""
        if not self.loaded.network.dims.union_types:
            return ()
        return (*self.extra_args.get("control_type", ()), *(item.type for item in self.union_hints))

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
        return merge(residuals, previous, self.strength, self.global_average_pooling)

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
        loaded, counts = self.loaded, self.loaded.reuse.counts
        y = cond.get("y")
        inputs = Inputs(
            x=self._sampling.calculate_input(t, x).to(loaded.dtype),
            timesteps=self._sampling.timestep(t),
            y=None if y is None else y.to(x.device, loaded.dtype),
            groups=groups,
            shared=step.shared,
            shared_y=step.shared_y,
            uniform_time=step.uniform_time,
            union_types=self.union_types,
            options=options,
        )

        def project() -> list[KeysValues]:
            counts.context_projections += 1
            return loaded.network.project_context(step.context.to(loaded.dtype))

        hint = self._embed_hint(x, groups)
        projected = loaded.reuse.contexts.get(step.context, self._weights_state(), project)
        counts.forwards += 1
        return loaded.network(inputs, hint, projected)

    def _embed_hint(self, x: Tensor, groups: int) -> Tensor:
        network, types = self.loaded.network, self.union_types
        hint = self._fit_hint(self.cond_hint_original, x, groups)

        def embed() -> Tensor:
            self.loaded.reuse.counts.hint_embeddings += 1
            if not isinstance(network, UnionControlNet) or not types:
                return network.embed_hint(hint)
            others = [replace(item, hint=self._fit_hint(item.hint, x, groups)) for item in self.union_hints]
            return network.embed_union([UnionHint(hint, types[0]), *others])

        return self.loaded.reuse.hints.get(hint, (self._weights_state(), types), embed)

    def _weights_state(self) -> Hashable:
        """Changes whenever the host patches the weights."""
        return getattr(self.loaded.patcher, "patches_uuid", None), self.loaded.dtype

    def _fit_hint(self, image: Tensor, x: Tensor, groups: int) -> Tensor:
        """The hint at the pixel size of the latent: (1 or pictures, channels, 8h, 8w), resized as core does."""
        pictures = x.shape[0] // groups
        if image.shape[0] not in (1, pictures):
            raise ValueError(
                f"The hint of a ControlNet has {image.shape[0]} images, but {pictures} latents are sampled together. "
                "Give one hint image, or as many as the latent batch holds."
            )
        height, width = (side * self.compression_ratio for side in x.shape[-2:])

        def resize() -> Tensor:
            resized = comfy.utils.common_upscale(image, width, height, self.upscale_algorithm, "center")
            return self.preprocess_image(resized).to(x.device, self.loaded.dtype)

        return self._hints.get(image, (height, width), resize)


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
