"""A Control-LoRA of SD1.5 at official widths: merged once, beside ComfyUI core, which multiplies it out at every step.

FLOPs of one step under classifier-free guidance after the first, counted as it runs at --size; time at --size on one
thread of the CPU, the two sides taking turns; what each does before the first step of a sampling is timed apart.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from ..comfy_client.server import comfyui_directory
from ..controlnet.formats.control_lora import CONTROL_LORA
from ..host.start import start_comfyui

start_comfyui(comfyui_directory(), cpu=True)

import comfy.controlnet

from ..host.loading.load import control_from_tensors
from .models.random_models import Models

SIDES = ("core", "ours")
ATTENTION_FLOPS = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v)
}
"""Operations of the fused attention on a CPU, which PyTorch's own table lacks."""


def make_control(side: str, model: Any, file: dict[str, Tensor]) -> Any:
    """A control as its loader gives it, with its hint."""
    with torch.inference_mode():
        if side == "core":
            control = comfy.controlnet.ControlLora(file)
        else:
            merged = CONTROL_LORA.convert(file, model.diffusion_model.state_dict())
            control = control_from_tensors(merged)
    return control.set_cond_hint(torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(1)))


def begin(control: Any, model: Any) -> None:
    """The work of a sampling before its first step, once for each side."""
    with torch.inference_mode():
        for _ in ("cond", "uncond"):
            control.pre_run(model, model.model_sampling.percent_to_sigma)


def evaluate(control: Any, size: int) -> list[Tensor]:
    """Residuals of one step, as the sampler asks for them; cond and uncond in one batch."""
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(1, 4, size, size, generator=generator).repeat(2, 1, 1, 1)
    cond = {"c_crossattn": torch.randn(2, 77, 768, generator=generator)}
    with torch.inference_mode():
        result = control.get_control(x, torch.full((2,), 5.0), cond, 2, {"cond_or_uncond": [0, 1]})
    return [*result["output"], *result["middle"]]


def gigaflops(work: Callable[[], object]) -> float:
    with FlopCounterMode(display=False, custom_mapping=ATTENTION_FLOPS) as counter:
        work()
    return counter.get_total_flops() / 1e9


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64, help="latent side (64: 512 px)")
    parser.add_argument("--rank", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    models = Models("SD1.5", 320)
    model, file = models.base.model, models.lora(arguments.rank)
    controls: dict[str, Any] = {}
    loading, starting, flops, steps = ({side: [] for side in SIDES} for _ in range(4))
    for side in SIDES:
        loading[side].append(seconds(lambda side=side: controls.update({side: make_control(side, model, file)})))
    for _ in range(2):
        for side in SIDES:
            starting[side].append(seconds(lambda side=side: begin(controls[side], model)))
    first, second = (evaluate(controls[side], arguments.size) for side in SIDES)
    errors = [torch.linalg.norm(a - b) / torch.linalg.norm(a) for a, b in zip(first, second, strict=True)]
    print(f"largest relative L2 difference of a residual: {max(errors):.1e}")
    for side in SIDES:
        flops[side].append(gigaflops(lambda side=side: evaluate(controls[side], arguments.size)))
    for _ in range(arguments.rounds):
        for side in SIDES:
            steps[side].append(seconds(lambda side=side: evaluate(controls[side], arguments.size)))
    print(f"{'':6}{'s to load':>12}{'s to begin':>12}{'GFLOP a step':>14}{'s a step':>10}")
    for side in SIDES:
        row = (statistics.median(values[side]) for values in (loading, starting, flops, steps))
        print("{:6}{:12.2f}{:12.2f}{:14.1f}{:10.2f}".format(side, *row))
    ratios = [ours / core for core, ours in zip(steps["core"], steps["ours"], strict=True)]
    print(f"time of a step, ours / core: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
