"""The numbers as markdown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ..workloads import WORKLOADS
from .explanations import EXPLANATIONS
from .figures import (
    Results,
    beside,
    marginal_seconds,
    measured,
    ratio,
    sampling_ratio,
    seconds_of_step,
    step_ratio,
)
from .timing import Spread

INTRODUCTION = """\
# Benchmarks

What a ControlNet costs: here, with ComfyUI's own nodes, in other packs and in diffusers. Written by
`python benchmarks/run.py --write docs/benchmarks.md`; `make bench` measures again.

All sides share one process and one set of random weights of the real models' shapes, with zero convolutions that are
not zero. They take their steps in turn, so that a busy machine is busy for all; on a CPU it is the time that one thread
got. Ratios are medians of paired measurements, with the least and the greatest. *plain* is ComfyUI without control,
*core* its own ControlNet. ComfyUI's own networks use PyTorch's attention (`--use-pytorch-cross-attention`) unless
*default attention* is said. Counts do not depend on the machine; the tests hold them down
(`tests/host/sampling/test_counters.py`).
"""

SUMMARY = """\
Of a step; of whole samplings where steps differ: with a range, a cache or several samplers.
"""

WORK = """\
Of the last step: FLOPs, operations (kernels that PyTorch calls), bytes that these read and write, reads of a tensor's
value (each stops the CPU until a GPU has caught up); on a GPU its launches and waits. Of the whole workload:
evaluations of ControlNets, embedded hints, projections of the prompt to keys, loads of models, most bytes that the
sampling's own tensors hold at once. Error: relative L2 distance to core's result, of the first prediction / of the
final latent.
"""

GPU = """\
## What a step costs a GPU

Counted on a GPU that is not there (`tests/support/gpu`), at a step after the first, beyond a step without control:
launches of kernels, reads of a value by the CPU, and copies from it, each of which the CPU waits for. A small UNet of
SD1.5's kind, of two levels. The tests hold these numbers down (`tests/device/test_controls.py`).
"""
GPU_COUNTS = Path(__file__).with_name("gpu_counts.json")
KINDS_OF_COUNTS = ("launches", "reads", "copies")

Cell = Callable[[str], str]


def write_report(document: Mapping[str, Any], plot: str | None) -> str:
    """Markdown of all workloads. plot: path of a picture, relative to the report."""
    workloads = document["workloads"]
    parts = [INTRODUCTION, "## Time with control by time without\n", SUMMARY, _summary(workloads)]
    if plot:
        parts.append(f"![Bars of the table above]({plot})\n")
    parts += [GPU, gpu_table(), "## Workloads\n", WORK]
    parts += [_section(label, entry) for label, entry in workloads.items()]
    return "\n".join(parts)


def gpu_table() -> str:
    """Core's counts and ours for every way to wire controls."""
    recorded = json.loads(GPU_COUNTS.read_text(encoding="utf-8"))
    rows = [
        [title, *(f"{counts['core'][kind]} / {counts['ours'][kind]}" for kind in KINDS_OF_COUNTS)]
        for title, counts in recorded.items()
    ]
    return _table(["core / ours", *KINDS_OF_COUNTS], rows)


def _summary(workloads: Mapping[str, Any]) -> str:
    sides = list(dict.fromkeys(name for entry in workloads.values() for name in entry["results"] if "," not in name))
    sides.remove("plain")

    def cell(entry: Mapping[str, Any], side: str) -> str:
        result = entry["results"].get(side, {})
        return "left out" if "left out" in result else _spread(ratio(entry, side, "plain"))

    rows = [[label, *(cell(entry, side) for side in sides)] for label, entry in workloads.items()]
    return _table(["", *sides], rows)


def _section(label: str, entry: Mapping[str, Any]) -> str:
    results: Results = entry["results"]
    names = measured(results)
    parts = [f"### {label}: {entry['title']}\n", _machine(entry)]
    if names:
        parts += [_times(entry, names), _work(results, names), _against_default(results)]
    parts += [f"Left out: {name}, {result['left out']}.\n" for name, result in results.items() if "left out" in result]
    parts.append(EXPLANATIONS.get(entry["name"], "") and EXPLANATIONS[entry["name"]] + "\n")
    return "\n".join(part for part in parts if part)


def _machine(entry: Mapping[str, Any]) -> str:
    machine = entry["machine"]
    versions = ", ".join(f"{name} {machine[name]}" for name in ("torch", "ComfyUI", "diffusers", "python"))
    computer = f"{machine['device']}, {machine['threads']} thread of {machine['cores']} cores"
    return f"{computer}; {versions}; {entry['steps']} steps, {entry['precision']}; {machine['date']}.\n"


def _times(entry: Mapping[str, Any], names: list[str]) -> str:
    results: Results = entry["results"]
    of_steps: dict[str, Cell] = {
        "s a step": lambda name: _spread(seconds_of_step(results, name)),
        "step / plain": lambda name: _spread(step_ratio(results, name, beside(name, "plain"))),
        "s of control": lambda name: _spread(marginal_seconds(results, name)),
        "step / core": lambda name: _spread(step_ratio(results, name, beside(name, "core"))),
    }
    of_samplings: dict[str, Cell] = {
        "sampling / plain": lambda name: _spread(sampling_ratio(results, name, beside(name, "plain"))),
        "sampling / core": lambda name: _spread(sampling_ratio(results, name, beside(name, "core"))),
    }
    columns = of_samplings if WORKLOADS[entry["name"]].whole else of_steps | of_samplings
    return _table(["", *columns], [[name, *(cell(name) for cell in columns.values())] for name in names])


def _work(results: Results, names: list[str]) -> str:
    def step(count: str, unit: float = 1, digits: int = 0) -> Cell:
        return lambda name: f"{results[name]['step'].get(count, 0) / unit:.{digits}f}"

    def total(count: str) -> Cell:
        return lambda name: str(results[name]["total"].get(count, 0))

    columns: dict[str, Cell] = {
        "GFLOP": step("FLOPs", 1e9, 1),
        "operations": step("operations"),
        "GB moved": step("moved bytes", 1e9, 2),
        "reads": step("reads"),
        **({"launches": step("launches"), "syncs": step("syncs")} if _on_gpu(results) else {}),
        "evaluations": total("forwards"),
        "hints": total("hint embeddings"),
        "keys": total("key projections"),
        "loads": total("loads"),
        "peak MB": lambda name: f"{results[name]['peak bytes'] / 1e6:.0f}",
        "error": lambda name: _error(results[name]),
    }
    return _table(["", *columns], [[name, *(cell(name) for cell in columns.values())] for name in names])


def _on_gpu(results: Results) -> bool:
    return any("launches" in result.get("step", {}) for result in results.values())


def _error(result: Mapping[str, Any]) -> str:
    if "latent error" not in result:
        return ""
    return f"{result['prediction error']:.0e} / {result['latent error']:.0e}"


def _against_default(results: Results) -> str:
    ratio = step_ratio(results, "ours", "plain, default attention")
    if ratio is None:
        return ""
    return f"Our controlled step by ComfyUI's step without control, in its default attention: {_spread(ratio)}.\n"


def _spread(spread: Spread | None) -> str:
    return "" if spread is None else f"{spread.median:.2f} ({spread.least:.2f} to {spread.greatest:.2f})"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(head)
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
