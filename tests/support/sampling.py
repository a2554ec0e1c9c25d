"""Sampling in ComfyUI's own code in the test process, with our control or core's on the same random weights."""

from dataclasses import dataclass

import torch

from support.comfy_host import import_host
from support.networks import dimensions, random_network

import_host()

import comfy.controlnet
import comfy.sample
from zeroconv.benchmarks.models.unets import unet_config
from zeroconv.host.conditioning import Unit, apply_unit
from zeroconv.host.controls.control import Control
from zeroconv.host.loading.load import control_from_tensors

DIMS = dimensions("SD1.5", 64)


@dataclass(frozen=True)
class Run:
    steps: int = 4
    cfg: float = 6.0
    sampler: str = "euler"
    scheduler: str = "normal"
    batch: int = 1
    height: int = 64
    width: int = 64


def weights(seed: int) -> dict[str, torch.Tensor]:
    state = dict(random_network(DIMS, seed).state_dict())
    return {k: v * (3.0 if k.startswith(("zero_convs", "middle_block_out")) else 1.0) for k, v in state.items()}


def ours(seed: int) -> Control:
    return control_from_tensors(weights(seed))


def core_network(kind: type | None = None, width: int = 64, **changes: list[int]) -> torch.nn.Module:
    """Core's network, or one that inherits from it, of so many channels: core itself only makes official widths."""
    import comfy.cldm.cldm
    import comfy.ops

    config = unet_config("SD1.5", width, hint_channels=3, operations=comfy.ops.disable_weight_init, **changes)
    del config["out_channels"]
    return (kind or comfy.cldm.cldm.ControlNet)(**config)


def core(seed: int):
    network = core_network()
    network.load_state_dict(weights(seed))
    return comfy.controlnet.ControlNet(network, load_device=torch.device("cpu"))


def prompts() -> tuple[list, list]:
    generator = torch.Generator().manual_seed(5)
    return tuple([[torch.randn(1, 77, 768, generator=generator), {}]] for _ in range(2))


def sdxl_prompts() -> tuple[list, list]:
    generator = torch.Generator().manual_seed(5)
    settings = ({"pooled_output": torch.randn(1, 1280, generator=generator)} for _ in range(2))
    return tuple([[torch.randn(1, 77, 2048, generator=generator), own]] for own in settings)


def hint(count: int = 1, height: int = 70, width: int = 90, seed: int = 7) -> torch.Tensor:
    return torch.rand(count, height, width, 3, generator=torch.Generator().manual_seed(seed))


def sample(model, units: list[Unit], run: Run, prompt=None, callback=None) -> torch.Tensor:
    positive, negative = prompt or prompts()
    for unit in units:
        positive, negative = apply_unit(unit, positive, negative)
    shape = (run.batch, 4, run.height // 8, run.width // 8)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        return comfy.sample.sample(
            model, noise, run.steps, run.cfg, run.sampler, run.scheduler, positive, negative, torch.zeros(shape),
            callback=callback, disable_pbar=True, seed=3,
        )  # fmt: skip


class Cancelled(Exception):
    """What a user's cancel raises in the middle of a sampling."""


def cancel_at(last: int):
    """A callback of `sample` that cancels in step `last`, counted from 0."""

    def cancel(step, *_):
        if step == last:
            raise Cancelled

    return cancel
