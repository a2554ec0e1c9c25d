"""Everything that only a machine with a GPU can tell, in one command of less than eight minutes, without a network.

    python benchmarks/on_gpu.py --pack .cache/on_gpu     # here: what has to be carried, below 64 MB
    python benchmarks/on_gpu.py --comfyui .cache/on_gpu/comfyui --write results    # there

Each part runs in a process of its own with a time limit of its own, so that one failure costs one part; what a part
has found is written as it goes. The results are `results.json` and a table, `results.md`. --candidates adds what is
kept only where it wins.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LARGEST = 64 << 20
"""Bytes that may be carried to the machine."""
LEFT_OUT = (
    ".git",
    "web",
    "tests",
    "tests-unit",
    "script_examples",
    "models",
    "input",
    "output",
    "custom_nodes",
    "user",
)
"""Folders of ComfyUI that no part needs."""
TOKENIZERS = "*tokenizer*"


@dataclass(frozen=True)
class Part:
    """One process. limit: seconds."""

    name: str
    title: str
    limit: int


PARTS = (
    Part("correctness", "Distance to the CPU's latents and to core's", 75),
    Part("workloads", "Time of a step with control by one without", 170),
    Part("preprocessors", "Pictures a second at 512 px", 60),
    Part("training", "Steps a second, memory measured and estimated", 90),
    Part("candidates", "Ways to run the network, by the way it runs now", 60),
)
assert sum(part.limit for part in PARTS) < 8 * 60


def main() -> None:
    arguments = _arguments()
    if arguments.pack:
        print(f"{pack(Path(arguments.pack), Path(arguments.comfyui)) / 1e6:.1f} MB in {arguments.pack}")
    elif arguments.part:
        _run_part(arguments.part, Path(arguments.write))
    else:
        run_all(Path(arguments.write), Path(arguments.comfyui), arguments.candidates)


def pack(folder: Path, comfyui: Path) -> int:
    """Copy what is needed of ComfyUI into `folder`/comfyui: its bytes. Raises ValueError when they are too many."""
    target = folder / "comfyui"
    shutil.rmtree(target, ignore_errors=True)
    ignored = shutil.ignore_patterns(*LEFT_OUT, TOKENIZERS, "__pycache__", "*.pyc", "*.png", "*.jpg", "*.safetensors")
    shutil.copytree(comfyui, target, ignore=ignored)
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    if size > LARGEST:
        raise ValueError(f"{size >> 20} MB are too many to carry; {LARGEST >> 20} may be.")
    return size


def run_all(write: Path, comfyui: Path, candidates: bool) -> None:
    """Run the parts one after the other; a part that fails or takes too long leaves what it has found."""
    write.parent.mkdir(parents=True, exist_ok=True)
    results: dict[str, object] = {}
    for part in PARTS:
        if part.name == "candidates" and not candidates:
            continue
        begin, found = time.monotonic(), write.with_name(f"{write.name}.{part.name}.json")
        found.unlink(missing_ok=True)
        results[part.name] = {**_in_process(part, found, comfyui), "seconds": round(time.monotonic() - begin, 1)}
        write.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        write.with_suffix(".md").write_text(table(results), encoding="utf-8")
    print(write.with_suffix(".md").read_text(encoding="utf-8"))


def _in_process(part: Part, found: Path, comfyui: Path) -> dict[str, object]:
    """The results of one part, and why it stopped early where it did."""
    command = [sys.executable, __file__, "--part", part.name, "--write", str(found)]
    environment = {**os.environ, "COMFYUI_DIR": str(comfyui), "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "4")}
    try:
        done = subprocess.run(command, env=environment, timeout=part.limit, capture_output=True, text=True, check=False)
        problem = "" if done.returncode == 0 else done.stderr.strip()[-600:] or f"exit status {done.returncode}"
    except subprocess.TimeoutExpired:
        problem = f"stopped after {part.limit} s"
    rows = json.loads(found.read_text(encoding="utf-8")) if found.exists() else []
    found.unlink(missing_ok=True)
    return {"rows": rows, "problem": problem}


def _run_part(name: str, write: Path) -> None:
    from run import find_package

    find_package()
    from zeroconv.benchmarks.on_gpu_parts import run_part
    from zeroconv.comfy_client.server import comfyui_directory
    from zeroconv.host.start import start_comfyui

    start_comfyui(comfyui_directory())
    run_part(name, write)


def table(results: dict[str, object]) -> str:
    """The results as Markdown."""
    lines = ["# On a GPU", ""]
    for part in PARTS:
        result = results.get(part.name)
        if not isinstance(result, dict):
            continue
        lines += [f"## {part.title} ({result['seconds']} s)", ""]
        if result["problem"]:
            lines += [f"Not complete: {result['problem'].splitlines()[-1]}", ""]
        rows = result["rows"]
        if rows:
            names = list(dict.fromkeys(name for row in rows for name in row))
            lines += [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
            lines += [f"| {' | '.join(str(row.get(name, '')) for name in names)} |" for row in rows]
            lines.append("")
    return "\n".join(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure on a GPU what only a GPU can tell.")
    default = os.environ.get("COMFYUI_DIR", str(ROOT / ".cache" / "comfyui"))
    parser.add_argument("--comfyui", default=default, help="ComfyUI's folder")
    parser.add_argument("--write", default=str(ROOT / ".cache" / "on_gpu" / "results"), help="results, without ending")
    parser.add_argument("--candidates", action="store_true", help="also other ways to run the network")
    parser.add_argument("--pack", help="copy what is needed of ComfyUI to this folder, and do nothing else")
    parser.add_argument("--part", help="run one part in this process")
    return parser.parse_args()


if __name__ == "__main__":
    main()
