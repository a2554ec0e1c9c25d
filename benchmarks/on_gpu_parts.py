"""The parts of `on_gpu.py`: each gives rows of a table, one after the other, which are written as they come."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import comfy.model_management
import torch
from torch import Tensor

from ..controlnet.networks.controlnet import ControlNet, Inputs
from ..host.loading.load import load_network
from ..host.preprocessing import networks as host_networks
from ..host.preprocessing.run import run_preprocessor
from ..preprocessors.catalogue import preprocessors
from ..preprocessors.running import Options
from ..training.settings import Settings as TrainingSettings
from .measuring.machine import Precision, computing_in, device
from .measuring.timing import Spread, Stopwatch, paired, steps_of
from .measuring.workload import Settings, measure, plans_of
from .models.official_weights import golden_state_dict
from .models.random_models import CONTEXT, Models
from .peak_memory import STATE_DICTS, network_of
from .sides.in_comfyui import ADVANCED, CORE, OURS, PLAIN, Side
from .sides.sampling import sample_in_turn
from .training import SIZES, measure_training
from .workloads import WORKLOADS, Family, Scale, Workload

Row = dict[str, Any]
SMALL = Scale(width=64, latent=16, rank=4)
CORRECT = ("W1", "W2", "W4", "W5", "W6", "W8")
LATENTS: dict[Family, int] = {"SD1.5": 64, "SDXL": 128}
METHODS = ("hed", "depth_anything_v2", "openpose")
MADE_UP = ("openpose",)
"""Methods that find something in maps without values, and never end."""
PICTURES, SIDE = 8, 512


@dataclass(frozen=True)
class Size:
    """How large the models of a run are. The pretended GPU of the tests takes the small one."""

    width: int = 320
    steps: int = 20
    rounds: int = 2
    values: bool = True
    """Whether weights have values; without them only shapes are computed."""
    names: tuple[str, ...] = tuple(WORKLOADS)
    """Workloads."""


def run_part(name: str, write: Path, size: Size = Size()) -> list[Row]:
    """Run a part, writing all rows found so far after each."""
    rows: list[Row] = []
    for row in PARTS[name](size):
        rows.append(row)
        write.write_text(json.dumps(rows), encoding="utf-8")
    return rows


def correctness(size: Size) -> Iterator[Row]:
    """Small samplings on the GPU, beside the same on the CPU and beside core's, in float32 and as the host chooses."""
    precisions: tuple[Precision, ...] = ("fp32", "fp16")
    for precision in precisions:
        models = Models("SD1.5", SMALL.width, precision)
        for name in [name for name in CORRECT if name in size.names]:
            workload = WORKLOADS[name].scaled(SMALL, min(4, size.steps))
            row: Row = {"workload": workload.title, "precision": precision}
            with computing_in(precision):
                own, theirs = (_latents(workload, models, side) for side in (OURS, CORE))
            row["to core"] = _shown(own, theirs)
            if precision == "fp32":
                with on_cpu():
                    row["to the CPU"] = _shown(own, _latents(workload, Models("SD1.5", SMALL.width, "fp32"), OURS))
            yield row


@contextmanager
def on_cpu() -> Iterator[None]:
    """ComfyUI computes on the CPU meanwhile."""
    management = comfy.model_management
    management.unload_all_models()
    states = {"cpu_state": management.CPUState.CPU, "vram_state": management.VRAMState.DISABLED}
    with mock.patch.multiple(management, **states, get_torch_device=lambda: torch.device("cpu")):
        yield


def _latents(workload: Workload, models: Models, side: Side) -> Tensor:
    """The end of the workload's last sampling."""
    prepared = side.prepare(workload, models)
    plans, watch = plans_of(workload, models), Stopwatch(device())
    tracks = [sample_in_turn({side.name: prepared}, plan, watch, plan.steps, device())[side.name] for plan in plans]
    return tracks[-1].x.cpu().double()


def _shown(value: Tensor, reference: Tensor) -> str:
    return f"{float((value - reference).norm() / reference.norm()):.0e}"


def workloads(size: Size) -> Iterator[Row]:
    """W1 to W10 beside core and, where its folder is given, Advanced-ControlNet."""
    models: Models | None = None
    for workload in (WORKLOADS[name] for name in size.names):
        scale = Scale(size.width, LATENTS[workload.family] if size.width == 320 else SMALL.latent, SMALL.rank)
        scaled = workload.scaled(scale, size.steps)
        if models is None or (models.family, models.precision) != (scaled.family, scaled.precision):
            models = None
            gc.collect()
            models = Models(scaled.family, size.width, scaled.precision)
        results = measure(scaled, models, Settings((PLAIN, CORE, ADVANCED, OURS), size.rounds))
        for name, result in results.items():
            yield {"workload": scaled.label, "side": name, **_summary(result, results["plain"])}


def _summary(result: Row, plain: Row) -> Row:
    if "left out" in result:
        return {"left out": result["left out"]}
    step = result["step"]
    row: Row = {name: step.get(name, 0) for name in ("operations", "launches", "reads", "syncs")}
    row |= {"peak MB": result["peak bytes"] // 1_000_000}
    if "turns" in result and "left out" not in plain:
        ratio: Spread = paired(steps_of(result["turns"]), steps_of(plain["turns"]))
        row["step / plain"] = f"{ratio.median:.2f} ({ratio.least:.2f} to {ratio.greatest:.2f})"
    if "latent error" in result:
        row["to core"] = f"{result['latent error']:.0e}"
    return row


def preprocess(size: Size) -> Iterator[Row]:
    """Pictures a second of the most used methods, after one run to warm up. Random weights of the official shapes."""
    images = torch.rand(PICTURES, SIDE, SIDE, 3)
    rows = {row: _network_maker(row, size.values) for name in METHODS for row in preprocessors()[name].weights}
    with mock.patch.object(host_networks, "build_network", lambda row, folders, ops: rows[row](ops)):
        for name in METHODS if size.values else set(METHODS) - set(MADE_UP):
            seconds = [_seconds(lambda name=name: run_preprocessor(preprocessors()[name], images, {}, Options()))]
            seconds.append(_seconds(lambda name=name: run_preprocessor(preprocessors()[name], images, {}, Options())))
            yield {"method": name, "pictures a second": round(PICTURES / seconds[-1], 1)}
            host_networks.NETWORKS.clear()


def _network_maker(row: str, values: bool) -> Callable[[Any], torch.nn.Module]:
    if values:
        return lambda ops: network_of(row)
    return lambda ops: network_of(row, golden_state_dict(STATE_DICTS.get(row, row)))


def _seconds(work: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    begin = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - begin


def train(size: Size) -> Iterator[Row]:
    """Steps a second, and memory beside what the estimate says."""
    weights = torch.device("cpu" if size.values else "meta")
    trainings: tuple[tuple[Family, TrainingSettings], ...] = (
        ("SD1.5", TrainingSettings(batch=4, precision="bfloat16")),
        ("SD1.5", TrainingSettings(batch=4, precision="bfloat16", gradient_checkpointing=True)),
        ("SDXL", TrainingSettings(batch=1, precision="bfloat16", gradient_checkpointing=True)),
    )
    for family, settings in trainings:
        measured = measure_training(family, settings, weights, steps=4 if size.values else 2)
        yield {
            "family": f"{family} at {SIZES[family]} px",
            "batch": settings.batch,
            "checkpointing": settings.gradient_checkpointing,
            "steps a second": round(1 / measured.seconds, 2),
            "peak GB": round(measured.peak / 1e9, 2),
            "estimated GB": round(measured.estimated / 1e9, 2),
        }
        gc.collect()
        torch.cuda.empty_cache()


def candidates(size: Size) -> Iterator[Row]:
    """One evaluation of the network as it runs now, in channels_last, and as a CUDA graph. Kept only where it wins."""
    latent, rows = (64, 2) if size.width == 320 else (SMALL.latent, 2)
    models = Models("SD1.5", size.width)
    loaded = load_network(dict(models.control))
    comfy.model_management.load_models_gpu([loaded.patcher], force_full_load=True)
    network, where = loaded.network, device()
    given = _network_inputs(network, latent, rows, loaded.dtype, where)
    with torch.inference_mode():
        eager = network(*given).flat
        yield {"way": "as it is", "ms": _milliseconds(lambda: network(*given), size), "error": "0e+00"}
        graph = _as_graph(network, given)
        yield {"way": "CUDA graph", "ms": _milliseconds(graph, size), "error": _largest_error(graph(), eager)}
        network.to(memory_format=torch.channels_last)
        yield {
            "way": "channels_last",
            "ms": _milliseconds(lambda: network(*given), size),
            "error": _largest_error(network(*given).flat, eager),
        }


def _network_inputs(network: ControlNet, latent: int, rows: int, dtype: torch.dtype, where: torch.device) -> Any:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(where, dtype)

    inputs = Inputs(draw(rows, 4, latent, latent), torch.full((rows,), 500.0).to(where), groups=rows, uniform_time=True)
    with torch.inference_mode():
        hint = network.embed_hint(draw(1, 3, 8 * latent, 8 * latent))
        projected = network.project_context(draw(rows, 77, CONTEXT["SD1.5"]))
    return inputs, hint, projected


def _as_graph(network: ControlNet, given: Any) -> Callable[[], tuple[Tensor, ...]]:
    """The evaluation recorded once; every call runs all its kernels again with one launch."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            network(*given)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        recorded = network(*given).flat

    def replay() -> tuple[Tensor, ...]:
        graph.replay()
        return recorded

    return replay


def _milliseconds(work: Callable[[], object], size: Size) -> float:
    work()
    repeats = max(2, size.steps)
    return round(1000 * _seconds(lambda: [work() for _ in range(repeats)]) / repeats, 2)


def _largest_error(values: tuple[Tensor, ...], reference: tuple[Tensor, ...]) -> str:
    return max(_shown(a.cpu().double(), b.cpu().double()) for a, b in zip(values, reference, strict=True))


PARTS: dict[str, Callable[[Size], Iterator[Row]]] = {
    "correctness": correctness,
    "workloads": workloads,
    "preprocessors": preprocess,
    "training": train,
    "candidates": candidates,
}
