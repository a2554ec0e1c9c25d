"""Steps of a training at the size of the real models, with weights of no meaning: their time and their memory.

On a GPU that only counts (`torch.device("meta")` weights) the same steps show how much memory they take.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import comfy.model_management
import comfy.model_patcher
import comfy.supported_models
import torch

from ..controlnet.networks.controlnet import ControlNet
from ..controlnet.networks.dimensions import Dimensions
from ..host.training.base_model import ComfyBase
from ..training.base import NoiseSchedule, Prompt
from ..training.copy import trainable_copy
from ..training.loop import Trainer
from ..training.memory import estimate
from ..training.pairs.batches import Batch, TensorDataset
from ..training.settings import Settings
from .models.random_models import CONTEXT, POOL
from .models.unets import unet_config
from .workloads import Family

SIZES: dict[Family, int] = {"SD1.5": 512, "SDXL": 1024}
VECTOR = 2816
TIMESTEPS = 1000


@dataclass(frozen=True)
class Measured:
    """peak: bytes of a step that is not the first. base: bytes of the UNet alone. estimated: bytes by
    `training.memory`, without its reserve. seconds: of a step."""

    peak: int
    base: int
    estimated: float
    seconds: float


def measure_training(family: Family, settings: Settings, weights: torch.device, steps: int = 2) -> Measured:
    """Run steps of the real loop with the host's UNet and the official ControlNet, on the host's device.

    weights: where they are made, "meta" for shapes alone. steps: 2 or more; the first makes the optimizer's moments.
    """
    device = comfy.model_management.get_torch_device()
    with torch.inference_mode(False), torch.enable_grad():
        base = _Base(_unet(family, weights), settings.gradient_checkpointing)
        control = _control(base, weights)
        trainer = Trainer(base, control, _pairs(family, settings.batch), settings)
        base.prepare("train")
        trainer._advance()
        torch.cuda.reset_peak_memory_stats(device)
        torch.cuda.synchronize(device)
        begin = time.perf_counter()
        for _ in range(steps - 1):
            trainer._advance()
        torch.cuda.synchronize(device)
        seconds = (time.perf_counter() - begin) / (steps - 1)
        size, need = SIZES[family], base.unet_bytes()
        estimated = estimate(control.dims, settings, size, size, need)
        peak = torch.cuda.max_memory_allocated(device)
        return Measured(peak, need, estimated.total - estimated.reserve, seconds)


class _Base(ComfyBase):
    """Without text encoder and autoencoder, which are not on the GPU during a step."""

    def __init__(self, model: comfy.model_patcher.ModelPatcher, checkpointing: bool) -> None:
        self._patcher, self._checkpointing, self._reserved, self._unet = model, checkpointing, 0, None
        self.schedule, self.device = NoiseSchedule(torch.linspace(1, 0.01, TIMESTEPS)), model.load_device
        self.fingerprint = self.family = "measured"


def _unet(family: Family, weights: torch.device) -> comfy.model_patcher.ModelPatcher:
    kind = {"SD1.5": comfy.supported_models.SD15, "SDXL": comfy.supported_models.SDXL}[family]
    config, management = kind(unet_config(family, 320)), comfy.model_management
    device = management.get_torch_device()
    dtype = management.unet_dtype(device=device, supported_dtypes=config.supported_inference_dtypes)
    config.set_inference_dtype(dtype, management.unet_manual_cast(dtype, device))
    with torch.device(weights):
        model = config.get_model({}, "", device=weights)
    model.diffusion_model.requires_grad_(False)
    if weights.type != "meta":
        fill(model.diffusion_model)
    return comfy.model_patcher.ModelPatcher(model, device, torch.device("cpu"))


@torch.no_grad()
def fill(network: torch.nn.Module) -> None:
    """Values with which a network neither dies nor explodes, again and again from one pool."""
    pool = torch.randn(POOL, generator=torch.Generator().manual_seed(0)).repeat(2)
    for number, parameter in enumerate(network.parameters()):
        if parameter.dim() == 1:
            parameter.fill_(1.0)
            continue
        times = -(-parameter.numel() // POOL)
        values = pool[number : number + POOL].repeat(times)[: parameter.numel()]
        parameter.copy_(values.view(parameter.shape) * parameter[0].numel() ** -0.5)


def _control(base: _Base, weights: torch.device) -> ControlNet:
    if weights.type != "meta":
        return trainable_copy(base.unet_weights())
    with torch.device("meta"):
        dims: Dimensions = trainable_copy(base.unet_weights()).dims
        return ControlNet(dims).train().requires_grad_(True)


def _pairs(family: Family, count: int) -> TensorDataset:
    size = SIZES[family]

    def prompt(rows: int) -> Prompt:
        vector = torch.zeros(rows, VECTOR) if family == "SDXL" else None
        return Prompt(torch.zeros(rows, 77, CONTEXT[family]), vector)

    latents, hints = torch.zeros(count, 4, size // 8, size // 8), torch.zeros(count, 3, size, size)
    return TensorDataset(Batch(latents, hints, prompt(count), prompt(1)))
