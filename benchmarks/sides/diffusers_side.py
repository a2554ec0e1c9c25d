"""diffusers, with the very tensors of ComfyUI's models, doing at each step what its ControlNet pipelines do.

Like them it evaluates every ControlNet at every step, also outside of its range, with a scale of zero, and embeds the
hint of both halves each time.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import comfy.model_management
import comfy.utils
import torch
from torch import Tensor, nn

from ...controlnet.formats.diffusers import to_diffusers
from ..models.random_models import Models, hint
from ..workloads import Use, Workload
from .sampling import CFG, Denoise, Plan, Prepared

if TYPE_CHECKING:
    from diffusers import ControlNetModel, UNet2DConditionModel

CROSS_DOWN, DOWN = "CrossAttnDownBlock2D", "DownBlock2D"
CROSS_UP, UP = "CrossAttnUpBlock2D", "UpBlock2D"
CLASSES = "class_embedding"
"""ComfyUI gives the vector of SDXL this name, too, which other models have in its place."""


@dataclass(frozen=True)
class DiffusersSide:
    """The library, where it is installed."""

    name: str = "diffusers"

    def left_out(self, workload: Workload) -> str | None:
        if importlib.util.find_spec("diffusers") is None:
            return "diffusers is not installed"
        if workload.lora or workload.cache or workload.low_memory:
            return "it has no such thing for these models"
        if any(use.positive_only for use in workload.uses):
            return "its guess mode also changes the strengths over the depth"
        return None

    def prepare(self, workload: Workload, models: Models) -> Prepared:
        import diffusers

        config = _config(models)
        weights = models.base.model.diffusion_model.state_dict()
        names = comfy.utils.unet_to_diffusers(models.unet_config)
        up_blocks = tuple(UP if kind == DOWN else CROSS_UP for kind in reversed(config["down_block_types"]))
        unet = _built(
            lambda: diffusers.UNet2DConditionModel(**config, up_block_types=up_blocks),
            {theirs: weights[ours] for theirs, ours in names.items() if ours in weights and CLASSES not in theirs},
        )
        weights = to_diffusers(models.control)
        controls = [_built(lambda: diffusers.ControlNetModel(**config), weights) for _ in workload.uses]
        images = [hint(workload.batch, 8 * workload.scale.latent, seed=use.number) for use in workload.uses]
        return DiffusersSampling(unet, controls, images, workload.uses, models)


def _config(models: Models) -> dict[str, Any]:
    width = models.width
    if models.family == "SD1.5":
        return {
            "cross_attention_dim": 768,
            "attention_head_dim": 8,
            "block_out_channels": (width, 2 * width, 4 * width, 4 * width),
            "down_block_types": (CROSS_DOWN, CROSS_DOWN, CROSS_DOWN, DOWN),
        }
    return {
        "cross_attention_dim": 2048,
        "attention_head_dim": tuple(n * width // 64 for n in (1, 2, 4)),
        "block_out_channels": (width, 2 * width, 4 * width),
        "down_block_types": (DOWN, CROSS_DOWN, CROSS_DOWN),
        "transformer_layers_per_block": (1, 2, 10),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    }


def _built(make: Callable[[], nn.Module], weights: Mapping[str, Tensor]) -> Any:
    """A network around the tensors given, on ComfyUI's device."""
    with torch.device("meta"):
        network = make()
    network.load_state_dict(dict(weights), assign=True)
    return network.eval().requires_grad_(False).to(comfy.model_management.get_torch_device())


@dataclass(frozen=True)
class DiffusersSampling:
    """One workload's networks and hints; rows are [uncond, cond], as its pipelines order them."""

    unet: UNet2DConditionModel
    controls: Sequence[ControlNetModel]
    images: Sequence[Tensor]
    uses: Sequence[Use]
    models: Models

    def networks(self) -> Sequence[nn.Module]:
        return self.controls

    def open(self, plan: Plan, use: Callable[[Denoise], None]) -> None:
        batch, _, height, width = plan.noise.shape
        device, dtype = self.unet.device, self.unet.dtype
        positive, negative = self.models.prompts()
        prompts = torch.cat([negative[0][0], positive[0][0]]).repeat_interleave(batch, 0).to(device, dtype)
        size = (8 * height, 8 * width)
        fitted = [nn.functional.interpolate(i.movedim(-1, 1), size, mode="nearest-exact") for i in self.images]
        images = [torch.cat([image] * 2).to(device, dtype) for image in fitted]
        added = self._added(positive[0][1], negative[0][1], batch)
        sampling, levels = self.models.base.model.model_sampling, plan.sigmas.tolist()

        def denoise(x: Tensor, sigma: Tensor) -> Tensor:
            step, timestep = levels.index(float(sigma)), sampling.timestep(sigma)
            scaled = torch.cat([x] * 2) / (sigma**2 + 1) ** 0.5
            call = {"encoder_hidden_states": prompts, "added_cond_kwargs": added, "return_dict": False}
            part = (step / plan.steps, (step + 1) / plan.steps)
            skips, middle = self._residuals(scaled.to(dtype), timestep, images, part, call)
            residuals = {"down_block_additional_residuals": skips, "mid_block_additional_residual": middle}
            uncond, cond = self.unet(scaled.to(dtype), timestep, **call, **residuals)[0].float().chunk(2)
            return x - sigma * (uncond + CFG * (cond - uncond))

        use(denoise)

    def _residuals(
        self, x: Tensor, timestep: Tensor, images: Sequence[Tensor], part: tuple[float, float], call: dict[str, Any]
    ) -> tuple[list[Tensor], Tensor]:
        def residuals(control: ControlNetModel, image: Tensor, use: Use) -> list[Tensor]:
            scale = use.strength if use.start <= part[0] and part[1] <= use.end else 0.0
            skips, middle = control(x, timestep, controlnet_cond=image, conditioning_scale=scale, **call)
            return [*skips, middle]

        first, *others = map(residuals, self.controls, images, self.uses)
        for other in others:
            first = [a + b for a, b in zip(first, other, strict=True)]
        return first[:-1], first[-1]

    def _added(self, positive: dict[str, Any], negative: dict[str, Any], batch: int) -> dict[str, Tensor] | None:
        if self.models.family == "SD1.5":
            return None
        pooled = torch.cat([side["pooled_output"] for side in (negative, positive)]).repeat_interleave(batch, 0)
        sizes = torch.tensor([[1024, 1024, 0, 0, 1024, 1024]]).repeat(2 * batch, 1)
        device, dtype = self.unet.device, self.unet.dtype
        return {"text_embeds": pooled.to(device, dtype), "time_ids": sizes.to(device, dtype)}
