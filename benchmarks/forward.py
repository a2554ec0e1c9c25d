"""One evaluation of an SD1.5 ControlNet under classifier-free guidance: ours beside ComfyUI core's.

FLOPs are counted at 64x64 latents (512 px) on the meta device. Time is measured at --size on the CPU, in interleaved
rounds on one thread. Memory is the peak of all tensors that an evaluation makes.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from support.comfy_host import import_host
from support.networks import dimensions

import_host()

import comfy.controlnet
import comfy.model_management
import comfy.model_sampling
from zeroconv.controlnet.network import ControlNet, Inputs
from zeroconv.host.control import ZeroConvControl
from zeroconv.host.loading import build_loaded

DIMS = dimensions("SD1.5", 320)
SIDES = ("core", "ours")


class Sampling(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.EPS):
    """The noise schedule of SD1.5."""


def random_weights() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = ControlNet(DIMS).state_dict()
    return {key: torch.randn(s.shape, generator=generator) * 0.02 for key, s in shapes.items()}


def make_control(side: str) -> object:
    """A control with its hint, ready to be asked for residuals."""
    weights = random_weights()
    with torch.inference_mode():
        if side == "core":
            control = comfy.controlnet.load_controlnet_state_dict(weights)
        else:
            control = ZeroConvControl(build_loaded(weights))
    control.set_cond_hint(torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(1)))
    base = SimpleNamespace(
        model_config=SimpleNamespace(unet_config={"context_dim": 768, "adm_in_channels": None}),
        model_sampling=Sampling(None),
    )
    control.pre_run(base, base.model_sampling.percent_to_sigma)
    return control


def evaluate(control: object, size: int) -> list[torch.Tensor]:
    """Residuals of one step, as the sampler asks for them; cond and uncond in one batch."""
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(1, 4, size, size, generator=generator).repeat(2, 1, 1, 1)
    cond = {"c_crossattn": torch.randn(2, 77, 768, generator=generator)}
    with torch.inference_mode():
        result = control.get_control(x, torch.full((2,), 5.0), cond, 2, {"cond_or_uncond": [0, 1]})
    return [*result["output"], *result["middle"]]


def count_flops() -> dict[str, float]:
    """GFLOP at 64x64 latents after the first step."""
    with torch.device("meta"):
        ours = ControlNet(DIMS)
        x, t, context = torch.empty(2, 4, 64, 64), torch.empty(2), torch.empty(2, 77, 768)
        projected = ours.project_context(context)
        with FlopCounterMode(display=False) as ours_counter:
            ours(Inputs(x, t, groups=2, shared=True, uniform_time=True), torch.empty(1, 320, 64, 64), projected)
        # Core's FLOPs do not depend on its weights; our shapes describe the same network without its savings.
        with FlopCounterMode(display=False) as core_counter:
            hint = ours.embed_hint(torch.empty(1, 3, 512, 512))
            ours(Inputs(x, t, groups=2), hint, ours.project_context(context))
    return {"core": core_counter.get_total_flops() / 1e9, "ours": ours_counter.get_total_flops() / 1e9}


def time_sides(size: int, rounds: int) -> tuple[dict[str, float], list[float]]:
    """Median seconds of each side, and the ratios ours / core round by round."""
    torch.set_num_threads(1)
    controls = {side: make_control(side) for side in SIDES}
    results = {side: evaluate(control, size) for side, control in controls.items()}
    errors = [torch.linalg.norm(a - b) / torch.linalg.norm(a) for a, b in zip(*results.values(), strict=True)]
    print(f"largest relative L2 difference of a residual: {max(errors):.1e}")
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(rounds):
        for side in SIDES:
            begin = time.perf_counter()
            evaluate(controls[side], size)
            seconds[side].append(time.perf_counter() - begin)
    ratios = [ours / core for core, ours in zip(seconds["core"], seconds["ours"], strict=True)]
    return {side: statistics.median(values) for side, values in seconds.items()}, ratios


def measure_memory(side: str, size: int) -> float:
    """Peak megabytes of the tensors alive at once during the first evaluation, weights not counted."""
    control = make_control(side)
    with torch.profiler.profile(profile_memory=True) as profiler:
        evaluate(control, size)
    alive = peak = 0
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            alive += event.nbytes()
            peak = max(peak, alive)
    return peak / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=32, help="latent side for time (32: 256 px)")
    parser.add_argument("--rounds", type=int, default=8)
    arguments = parser.parse_args()
    flops = count_flops()
    seconds, ratios = time_sides(arguments.size, arguments.rounds)
    memory = {side: measure_memory(side, 64) for side in SIDES}
    print(f"{'':6}{'GFLOP at 64x64':>16}{f's at {arguments.size}x{arguments.size}':>14}{'MB of a step at 64x64':>24}")
    for side in SIDES:
        print(f"{side:6}{flops[side]:16.1f}{seconds[side]:14.3f}{memory[side]:24.0f}")
    print(f"time ours / core: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
