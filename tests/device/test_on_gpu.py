"""The command for a machine with a GPU, run whole on the pretended one, so that no minute of a real one is lost."""

import json
from contextlib import nullcontext
from pathlib import Path

import pytest
from support.comfy_host import import_host

import_host()

from support.gpu import GIB, pretended_gpu
from zeroconv.benchmarks import on_gpu
from zeroconv.benchmarks.measuring import counting
from zeroconv.benchmarks.on_gpu_parts import PARTS, Size, run_part
from zeroconv.comfy_client.server import comfyui_directory

COMPUTING = Size(width=64, steps=2, rounds=1, names=("W1",))
SHAPES = Size(width=64, steps=3, rounds=1, values=False)


@pytest.mark.parametrize("name", PARTS)
def test_every_part_gives_its_rows(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = SHAPES if name in ("preprocessors", "training") else COMPUTING
    monkeypatch.setattr(counting, "counting_gpu", lambda counts: nullcontext())  # PyTorch's profiler asks a driver
    with pretended_gpu(memory=80 * GIB, half=True, with_arithmetic=size.values):
        rows = run_part(name, tmp_path / "rows.json", size)
    assert rows == json.loads((tmp_path / "rows.json").read_text())
    if name == "correctness":
        assert all(float(row["to core"]) <= (1e-4 if row["precision"] == "fp32" else 5e-2) for row in rows)
        assert all(float(row["to the CPU"]) <= 1e-4 for row in rows if row["precision"] == "fp32")
    if name == "training":
        for row in rows:
            assert row["estimated GB"] == pytest.approx(row["peak GB"], rel=0.1)
    if name == "workloads":
        assert {row["side"] for row in rows} == {"plain", "core", "Advanced-ControlNet", "ours"}


def test_what_is_carried_is_small(tmp_path: Path) -> None:
    assert on_gpu.pack(tmp_path, comfyui_directory()) < on_gpu.LARGEST
    assert (tmp_path / "comfyui" / "comfy" / "sd.py").is_file()


def test_a_part_that_fails_costs_itself_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "part.py"
    program.write_text(
        "import sys, json, time, pathlib\n"
        "name, found = sys.argv[2], pathlib.Path(sys.argv[4])\n"
        "found.write_text(json.dumps([{'of': name}]))\n"
        "if name == 'workloads': raise ValueError('no memory')\n"
        "if name == 'training': time.sleep(60)\n"
    )
    monkeypatch.setattr(on_gpu, "__file__", str(program))
    parts = tuple(on_gpu.Part(part.name, part.title, 3) for part in on_gpu.PARTS)
    monkeypatch.setattr(on_gpu, "PARTS", parts)
    on_gpu.run_all(tmp_path / "results", tmp_path, candidates=True)
    results = json.loads((tmp_path / "results.json").read_text())
    assert [results[part.name]["rows"] for part in parts] == [[{"of": part.name}] for part in parts]
    assert "no memory" in results["workloads"]["problem"]
    assert results["training"]["problem"] == "stopped after 3 s"
    assert not results["candidates"]["problem"]
    table = (tmp_path / "results.md").read_text()
    assert "Not complete: ValueError: no memory" in table
