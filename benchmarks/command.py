"""The command line: which workloads, how often, and where the numbers go."""

from __future__ import annotations

import argparse
import gc
import json
import re
import sys
from pathlib import Path
from typing import Any

import torch

from ..comfy_client.server import REPOSITORY, comfyui_directory
from ..host.start import start_comfyui
from .measuring.machine import describe
from .workloads import WORKLOADS, Family, Workload, choose

RESULTS = REPOSITORY / ".cache" / "benchmarks" / "benchmarks.md"


def main() -> None:
    """Measure, and write a report with its JSON and its plot beside it."""
    arguments = _arguments()
    report = Path(arguments.write)
    results = report.with_suffix(".json")
    document = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {"workloads": {}}
    if not arguments.report_only:
        torch.set_num_threads(1)
        start_comfyui(comfyui_directory())
        models: Any = None
        for workload in _chosen(arguments):
            if models is None or (models.family, models.precision) != (workload.family, workload.precision):
                models = None  # first: two families are more than most machines hold
                gc.collect()
                models = _models(workload)
            document["workloads"][workload.label] = _measure(workload, models, arguments)
            _write(document, report)
            gc.collect()
    _write(document, report)
    print(report.read_text(encoding="utf-8"))


def _chosen(arguments: argparse.Namespace) -> list[Workload]:
    """On a GPU at the models' own sizes; on a CPU at smaller ones, of which a step takes seconds."""
    gpu, size = torch.cuda.is_available(), arguments.size
    latent: dict[Family, int] = {"SD1.5": size or (64 if gpu else 32), "SDXL": size or (128 if gpu else 32)}
    everything = [*WORKLOADS, *([] if gpu else ["W1@64"])]
    return choose(arguments.workloads or ",".join(everything), latent, arguments.steps or (20 if gpu else None))


def _models(workload: Workload) -> Any:
    from .models.random_models import Models  # only now: it imports ComfyUI, which reads its command line at import

    return Models(workload.family, workload.scale.width, workload.precision)


def _measure(workload: Workload, models: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    from .measuring.workload import Settings, measure
    from .sides.diffusers_side import DiffusersSide
    from .sides.in_comfyui import ADVANCED, CORE, OURS, OURS_BF16, PLAIN, Side

    sides: tuple[Side, ...] = (PLAIN, CORE, ADVANCED, DiffusersSide(), OURS)
    if workload.other_precision:
        sides += (OURS_BF16,)
    wanted = arguments.sides.split(",") if arguments.sides else [side.name for side in sides]
    chosen = tuple(side for side in sides if side.name in wanted)
    settings = Settings(chosen, arguments.rounds, report=lambda line: print(line, file=sys.stderr, flush=True))
    results = measure(workload, models, settings)
    return {
        "name": workload.name,
        "title": workload.title,
        "steps": workload.steps,
        "precision": "the host's precision" if workload.precision == "auto" else workload.precision,
        "machine": describe(),
        "results": results,
    }


def _write(document: dict[str, Any], report: Path) -> None:
    from .measuring.plot import draw
    from .measuring.report import write_report

    report.parent.mkdir(parents=True, exist_ok=True)
    plot = report.with_suffix(".svg")
    document["workloads"] = dict(sorted(document["workloads"].items(), key=_place))
    report.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    plot.write_text(draw(document["workloads"]), encoding="utf-8")
    report.write_text(write_report(document, plot.name), encoding="utf-8")


def _place(entry: tuple[str, Any]) -> tuple[int, int]:
    """By the workload, then by the size, which is the last number of the label."""
    label, workload = entry
    return list(WORKLOADS).index(workload["name"]), int(re.findall(r"\d+", label)[-1])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Measure what a ControlNet costs, on every side. Workloads: "
        + "; ".join(f"{name}: {workload.title}" for name, workload in WORKLOADS.items())
    )
    parser.add_argument("--workloads", help="W1,W2 or W1@64 for a latent of 64x64 (all)")
    parser.add_argument("--size", type=int, help="side of the latent (CPU: 32; GPU: 64, SDXL 128)")
    parser.add_argument("--steps", type=int, help="in each sampling (CPU: 2 to 8; GPU: 20)")
    parser.add_argument("--rounds", type=int, default=3, help="of timing; 0: count only")
    parser.add_argument("--sides", help="plain,core,ours,... (all)")
    parser.add_argument("--write", default=str(RESULTS), help="the report; JSON and plot go beside it, known ones stay")
    parser.add_argument("--report-only", action="store_true", help="write the report again from its JSON")
    return parser.parse_args()
