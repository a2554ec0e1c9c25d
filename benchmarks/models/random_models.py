"""Base models and ControlNets of the real shapes with random weights, and what goes into them.

The zero convolutions are not zero: the control must change the picture, or equality would say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import comfy.cldm.cldm
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.supported_models
import torch
from torch import Tensor

from ..measuring.machine import Precision, computing_in
from ..workloads import Family, Workload
from .unets import unet_config

Conditioning = list[list[Any]]
TOKENS, POOLED = 77, 1280
POOL = 1_000_003
"""A prime, so that no two rows of a matrix are the same piece of the pool."""
CONTEXT = {"SD1.5": 768, "SDXL": 2048}
LOW_RANK_PARTS = ("time_embed", "label_emb", "input_blocks", "middle_block.")


@dataclass(frozen=True)
class Models:
    """The base model and the ControlNet of one family; each is made once."""

    family: Family
    width: int
    precision: Precision = "auto"

    @property
    def unet_config(self) -> dict[str, Any]:
        return unet_config(self.family, self.width)

    @cached_property
    def base(self) -> comfy.model_patcher.ModelPatcher:
        """The MODEL."""
        with computing_in(self.precision):
            return self._make_base()

    def _make_base(self) -> comfy.model_patcher.ModelPatcher:
        management = comfy.model_management
        kind = {"SD1.5": comfy.supported_models.SD15, "SDXL": comfy.supported_models.SDXL}[self.family]
        config, load_device = kind(self.unet_config), management.get_torch_device()
        dtype = management.unet_dtype(device=load_device, supported_dtypes=config.supported_inference_dtypes)
        config.set_inference_dtype(dtype, management.unet_manual_cast(dtype, load_device))
        offload_device = management.unet_offload_device()
        model = config.get_model({}, "", device=offload_device)
        weights = random_weights(model.diffusion_model.state_dict(), seed=0)
        model.diffusion_model.load_state_dict(weights, assign=True)
        model.diffusion_model.requires_grad_(False)
        return comfy.model_patcher.ModelPatcher(model, load_device, offload_device)

    @cached_property
    def control(self) -> dict[str, Tensor]:
        """The state dict of the ControlNet, in LDM keys.

        Every network of a chain, on every side, shares its tensors: what a network costs does not depend on its values,
        and three times as many would not fit into some machines.
        """
        return random_weights(self.core_network(torch.device("meta")).state_dict(), seed=1)

    def core_network(self, device: torch.device, dtype: torch.dtype | None = None) -> comfy.cldm.cldm.ControlNet:
        """ComfyUI's own network, without weights; its loader knows the official widths only, hence by hand."""
        dtype = dtype or self.base.model_dtype()
        cast = comfy.model_management.unet_manual_cast(dtype, comfy.model_management.get_torch_device())
        config = {key: value for key, value in self.unet_config.items() if key != "out_channels"}
        operations = comfy.ops.pick_operations(dtype, cast)
        return comfy.cldm.cldm.ControlNet(hint_channels=3, operations=operations, dtype=dtype, device=device, **config)

    def lora(self, rank: int) -> dict[str, Tensor]:
        """A Control-LoRA: low-rank matrices for the copy of the encoder, the rest of the ControlNet whole."""
        generator = torch.Generator().manual_seed(1)
        tensors = {"lora_controlnet": torch.zeros(0)}
        for key, value in self.control.items():
            module, _, kind = key.rpartition(".")
            if kind == "weight" and value.dim() > 1 and key.startswith(LOW_RANK_PARTS):
                up = torch.randn(value.shape[0], rank, *(1,) * (value.dim() - 2), generator=generator)
                down = torch.randn(rank, *value.shape[1:], generator=generator)
                tensors[f"{module}.up"] = (0.02 * up / rank**0.5).to(value.dtype)
                tensors[f"{module}.down"] = down.to(value.dtype)
            else:
                tensors[key] = value.clone()
        return tensors

    def prompts(self) -> tuple[Conditioning, Conditioning]:
        """Positive and negative."""
        generator = torch.Generator().manual_seed(5)

        def prompt() -> Conditioning:
            settings: dict[str, Any] = {}
            if self.family == "SDXL":
                pooled = torch.randn(1, POOLED, generator=generator)
                settings = {"pooled_output": pooled, "width": 1024, "height": 1024}
            return [[torch.randn(1, TOKENS, CONTEXT[self.family], generator=generator), settings]]

        return prompt(), prompt()


def random_weights(like: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
    """Values that neither die nor explode: matrices scaled by their inputs, norms near 1, small biases.

    From one pool, again and again: to draw billions of numbers would take longer than to measure.
    """
    drawn = torch.randn(POOL, generator=torch.Generator().manual_seed(seed))
    pool, used, weights = torch.cat([drawn, drawn]), 0, {}
    for key, empty in like.items():
        begin = used % POOL
        used += empty.numel()
        times = -(-empty.numel() // POOL)
        values = pool[begin : begin + POOL].repeat(times)[: empty.numel()].view(empty.shape)
        scale, shift = (empty[0].numel() ** -0.5, 0) if empty.dim() > 1 else (0.1, key.endswith("weight"))
        weights[key] = (values * scale + shift).to(empty.dtype)
    return weights


def hint(count: int, size: int, seed: int) -> Tensor:
    """Hint images, (count, size, size, 3) in 0..1."""
    return torch.rand(count, size, size, 3, generator=torch.Generator().manual_seed(seed))


def noise(workload: Workload, factor: float) -> Tensor:
    """(batch, 4, side, side), other in every picture."""
    side = round(workload.scale.latent * factor)
    return torch.randn(workload.batch, 4, side, side, generator=torch.Generator().manual_seed(3))
