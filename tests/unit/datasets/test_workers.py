"""Hints made by several processes: the same files as by one; a process that dies costs nothing."""

import multiprocessing
import os
import signal
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from zeroconv.datasets.hint_maker import Recipe
from zeroconv.datasets.pipeline import Extent
from zeroconv.datasets.workers import make_hints
from zeroconv.preprocessors.catalogue import preprocessors
from zeroconv.preprocessors.running import Options

COUNT = 60


@pytest.fixture
def jobs(tmp_path: Path) -> list[tuple[str, str]]:
    generator = np.random.default_rng(0)
    for number in range(COUNT):
        Image.fromarray(generator.integers(0, 255, (40, 40, 3), np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "7.png").write_bytes(b"not a picture")
    return [(str(tmp_path / f"{number}.png"), str(tmp_path / "out" / f"{number}.png")) for number in range(COUNT)]


def make(jobs, count: int, report=lambda source, problem: None) -> tuple[dict[str, bytes], dict[str, str]]:
    """The hints by name, and what went wrong by path."""
    outcome: dict[str, str] = {}

    def note(source: str, problem: str) -> None:
        assert source not in outcome
        outcome[source] = problem
        report(source, problem)

    recipe = Recipe("canny", {"low_threshold": 100, "high_threshold": 200}, Options(), Path(), "cpu")
    make_hints(recipe, jobs, count, Extent(), note, threading.Event())
    assert len(outcome) == len(jobs)
    return {target: Path(target).read_bytes() for _, target in jobs if Path(target).exists()}, outcome


def test_two_processes_make_the_files_of_one_also_when_one_is_killed(jobs) -> None:
    alone, problems = make(jobs, 1)
    assert len(alone) == COUNT - 1
    assert [source for source, problem in problems.items() if problem] == [jobs[7][0]]
    for target in alone:
        Path(target).unlink()
    killed = []

    def kill_one(source: str, problem: str) -> None:
        if not killed:
            killed.append(multiprocessing.active_children()[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    assert make(jobs, 2, kill_one) == (alone, problems)
    assert killed
    assert not multiprocessing.active_children()
    assert Counter(path.suffix for path in Path(jobs[0][1]).parent.iterdir())[".png"] == COUNT - 1


def test_missing_weights_end_a_run_of_several_processes_by_their_sentence(jobs, tmp_path: Path) -> None:
    recipe = Recipe("hed", preprocessors()["hed"].settings(), Options(), tmp_path / "no weights", "cpu")
    with pytest.raises((FileNotFoundError, ValueError)) as raised:
        make_hints(recipe, jobs, 2, Extent(), lambda source, problem: None, threading.Event())
    assert "hed" in str(raised.value).lower()
    assert not multiprocessing.active_children()
