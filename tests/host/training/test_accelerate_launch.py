"""The documented line for several processes, as it stands in the docs: again and again, from any cache."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from support.training_plan import write_plan

ROOT = Path(__file__).resolve().parents[3]
PAIRS, STEPS = 6, 3


def documented_line() -> list[str]:
    """The first line of docs/scale.md that launches several processes of this machine."""
    text = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    found = re.search(r"^    (accelerate launch --multi_gpu --num_processes 2 .*)$", text, re.MULTILINE)
    assert found is not None
    return shlex.split(found[1])


def train(command: list[str], folder: Path) -> list[float]:
    """Run a line in the folder of a plan; the loss of every step."""
    environment = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "HF_HOME": str(folder / "huggingface")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"Finished after step {STEPS}" in done.stdout
    curves = json.loads(next((folder / "out").rglob("curves.json")).read_text())
    assert (folder / "out" / "new.safetensors").is_file()
    return [loss for _, loss in curves["loss"]]


def forget_training(folder: Path, *, shards: slice) -> None:
    """Remove what was trained, and some of the cache."""
    for path in [*(folder / "out").glob("new*")]:
        subprocess.run(["rm", "-r", str(path)], check=True)
    for shard in sorted((folder / "out" / "cache").iterdir())[shards]:
        shard.unlink()


@pytest.mark.skipif(os.name == "nt", reason="PyTorch has no gloo processes by accelerate on Windows")
def test_two_processes_train_three_times_in_a_row_as_one_with_the_doubled_batch(tmp_path: Path) -> None:
    """From an empty cache, from one of which a process's shards are gone, and from a whole one."""
    (tmp_path / "one").mkdir()
    write_plan(tmp_path / "one", pairs_count=PAIRS, steps=STEPS, batch=2)
    alone = train([sys.executable, "-m", "zeroconv", "train", "run.toml"], tmp_path / "one")
    folder = tmp_path / "two"
    folder.mkdir()
    write_plan(folder, pairs_count=PAIRS, steps=STEPS, batch=1)
    for removed in (slice(0, 0), slice(0, 1), slice(0, 0)):
        assert train(documented_line(), folder) == pytest.approx(alone, rel=1e-4)
        assert len(list((folder / "out" / "cache").glob("*.safetensors"))) >= 2, "each of both has encoded its part"
        assert not list((folder / "out").rglob("*.part"))
        forget_training(folder, shards=removed)
