"""Hints over a Ray cluster: a worker that is killed costs what it was at, which another makes again."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from zeroconv.commands import main
from zeroconv.datasets.cluster import make_over_cluster
from zeroconv.datasets.hint_maker import Recipe
from zeroconv.datasets.pipeline import Extent
from zeroconv.datasets.workers import make_hints
from zeroconv.preprocessors.running import Options

COUNT = 80
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


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Two workers on this machine; starting them takes longer than all they do."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def write_noise(folder: Path, count: int) -> list[str]:
    """Pictures in the folder; returns their paths."""
    generator, paths = np.random.default_rng(0), [folder / f"{number}.png" for number in range(count)]
    folder.mkdir(exist_ok=True)
    for path in paths:
        Image.fromarray(generator.integers(0, 255, (200, 200, 3), np.uint8)).save(path)
    return list(map(str, paths))


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_command_makes_the_same_files_and_what_is_there_already_it_skips(
    cluster: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_noise(tmp_path / "in", 20)
    (tmp_path / "in" / "broken.jpg").write_bytes(b"no picture")
    line = ["preprocess", "canny", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    assert main(line) == 1
    alone = content(tmp_path / "out")
    for name in list(alone)[3:]:
        (tmp_path / "out" / name).unlink()
    capsys.readouterr()
    assert main([*line, "--ray", "2"]) == 1
    assert content(tmp_path / "out") == alone
    shown = capsys.readouterr()
    assert "17 made, 3 there already, 1 failed" in shown.out
    assert "broken.jpg" in shown.err


@pytest.mark.skipif(os.name == "nt", reason="looks for processes by the names that Ray gives them on Linux")
def test_a_killed_worker_costs_nothing(cluster: None, tmp_path: Path) -> None:
    sources = write_noise(tmp_path, COUNT)
    alone = [(source, str(tmp_path / "alone" / Path(source).name)) for source in sources]
    make_hints(RECIPE, alone, 1, Extent(), lambda source, problem: None, threading.Event())
    killed: list[int] = []
    reported: list[tuple[str, str]] = []
    killer = threading.Thread(
        target=kill_a_worker, args=(killed, tmp_path / "cluster", time.monotonic() + 120), daemon=True
    )
    killer.start()
    jobs = [(source, str(tmp_path / "cluster" / Path(source).name)) for source in sources]
    make_over_cluster(RECIPE, jobs, 2, lambda source, problem: reported.append((source, problem)))
    assert killed
    assert sorted(reported) == sorted((source, "") for source in sources), "every hint once"
    assert all(
        Path(one).read_bytes() == Path(other).read_bytes() for (_, one), (_, other) in zip(alone, jobs, strict=True)
    )
