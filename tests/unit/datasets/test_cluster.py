"""Hints over a Ray cluster: a worker that is killed costs what it was at, which another makes again."""

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from zeroconv.datasets.cluster import make_over_cluster
from zeroconv.datasets.hint_maker import Recipe
from zeroconv.datasets.pipeline import Extent
from zeroconv.datasets.workers import make_hints
from zeroconv.preprocessors.running import Options

COUNT = 120
RECIPE = Recipe("canny_pyramid", {"low_threshold": 64, "high_threshold": 128}, Options(), Path(), "cpu")


def kill_a_worker(killed: list[int], target: Path, deadline: float) -> None:
    """Kill one of the cluster's workers as soon as it has made a hint."""
    while not killed and time.monotonic() < deadline:
        time.sleep(0.02)
        if not target.exists() or not any(target.glob("*.png")):
            continue
        for process in psutil.Process().children(recursive=True):
            if not killed and "MapWorker" in " ".join(process.cmdline()):
                killed.append(process.pid)
                os.kill(process.pid, signal.SIGKILL)


@pytest.mark.skipif(os.name == "nt", reason="looks for processes by the names that Ray gives them on Linux")
def test_a_killed_worker_costs_nothing(tmp_path: Path) -> None:
    import ray

    generator = np.random.default_rng(0)
    for number in range(COUNT):
        Image.fromarray(generator.integers(0, 255, (200, 200, 3), np.uint8)).save(tmp_path / f"{number}.png")
    sources = [str(tmp_path / f"{number}.png") for number in range(COUNT)]
    alone = [(source, str(tmp_path / "alone" / Path(source).name)) for source in sources]
    make_hints(RECIPE, alone, 1, Extent(), lambda source, problem: None, threading.Event())
    killed: list[int] = []
    reported: list[tuple[str, str]] = []
    killer = threading.Thread(
        target=kill_a_worker, args=(killed, tmp_path / "cluster", time.monotonic() + 120), daemon=True
    )
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        killer.start()
        jobs = [(source, str(tmp_path / "cluster" / Path(source).name)) for source in sources]
        make_over_cluster(RECIPE, jobs, 2, lambda source, problem: reported.append((source, problem)))
    finally:
        ray.shutdown()
    assert killed
    assert sorted(reported) == sorted((source, "") for source in sources), "every hint once"
    assert all(
        Path(one).read_bytes() == Path(other).read_bytes() for (_, one), (_, other) in zip(alone, jobs, strict=True)
    )
