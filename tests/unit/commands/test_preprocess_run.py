"""What `zeroconv preprocess` says while it runs, how it is stopped, and how it goes on."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from zeroconv.commands import main, progress_bar


def pictures(folder: Path, count: int, side: int = 40) -> None:
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(count):
        Image.fromarray(generator.integers(0, 255, (side, side, 3), np.uint8)).save(folder / f"{number}.png")


def arguments(folder: Path, *more: str, method: str = "canny") -> list[str]:
    return ["preprocess", method, "--input", str(folder / "in"), "--output", str(folder / "out"), *more]


def test_failures_are_told_as_they_come_and_written_as_lines_of_json(tmp_path: Path, capsys) -> None:
    pictures(tmp_path / "in", 3)
    for name in ("broken.png", "schön.jpg"):
        (tmp_path / "in" / name).write_bytes(b"not a picture")
    assert main(arguments(tmp_path, "--failures", str(tmp_path / "failures.jsonl"))) == 1
    entries = [json.loads(line) for line in (tmp_path / "failures.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {Path(entry["file"]).name for entry in entries} == {"broken.png", "schön.jpg"}
    assert all("not a picture of a known format" in entry["problem"] for entry in entries)
    assert "broken.png" in capsys.readouterr().err


def test_without_a_terminal_a_line_comes_every_few_seconds(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(progress_bar, "LINE_SECONDS", 0.0)
    pictures(tmp_path / "in", 4)
    assert main(arguments(tmp_path)) == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    assert re.fullmatch(r"4 of 4 images, \d+\.\d a second, 0:00 left", lines[-1])


def test_a_terminal_gets_a_bar(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    pictures(tmp_path / "in", 4)
    (tmp_path / "in" / "broken.png").write_bytes(b"not a picture")
    assert main(arguments(tmp_path)) == 1
    shown = capsys.readouterr().err
    assert "5/5" in shown
    assert "1 failed" in shown


def test_times_are_read_at_a_glance() -> None:
    assert [progress_bar.duration(seconds) for seconds in (0.2, 59.6, 3661)] == ["0:00", "1:00", "1:01:01"]


@pytest.mark.parametrize("format", ["webp", "jpg"])
def test_formats_by_choice(tmp_path: Path, format: str) -> None:
    pictures(tmp_path / "in", 2)
    assert main(arguments(tmp_path, "--format", format, "--effort", "3")) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"0.{format}", f"1.{format}"]


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.skipif(os.name == "nt", reason="sends Ctrl+C as Linux does")
def test_ctrl_c_ends_within_a_second_and_the_same_line_goes_on(tmp_path: Path, jobs: str) -> None:
    """Pressed in the middle of pictures that take long; a terminal sends it to all processes."""
    pictures(tmp_path / "in", 12, side=900)
    command = [sys.executable, "-m", "zeroconv", *arguments(tmp_path, "--jobs", jobs, method="canny_pyramid")]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and not list((tmp_path / "out").glob("*.png")):
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        begin = time.monotonic()
        process.wait(30)
        seconds = time.monotonic() - begin
        _, err = process.communicate()
    finally:
        process.kill()
    made = len(list((tmp_path / "out").glob("*.png")))
    assert 0 < made < 12
    assert process.returncode == 130, err
    assert seconds < 2, "a second, and a busy machine"
    assert "The same command goes on from here" in err
    assert "Traceback" not in err
    assert main(arguments(tmp_path, method="canny_pyramid")) == 0
    assert len(list((tmp_path / "out").glob("*.png"))) == 12
