"""Two processes give what one gives with the doubled batch, to rounding."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

TESTS = Path(__file__).resolve().parents[1]
STEPS, BATCH = 3, 2

WORKER = """
import sys
import torch
torch.set_num_threads(1)
from support.toy_base import ToyBase, toy_dataset
from zeroconv.training.copy import trainable_copy
from zeroconv.training.loop import Trainer
from zeroconv.training.processes import AcceleratedProcesses, Processes
from zeroconv.training.progress import Callbacks
from zeroconv.training.settings import Settings

class Losses(Callbacks):
    def __init__(self): self.values = []
    def stepped(self, progress): self.values.append(progress.loss)

batch, several, path = int(sys.argv[1]), sys.argv[2] == "several", sys.argv[3]
processes = AcceleratedProcesses() if several else Processes()
settings = Settings(
    steps=STEPS, batch=batch, accumulation=2, learning_rate=1e-3, average=0.9, save_every=0, sample_every=0
)
base, losses = ToyBase(), Losses()
trainer = Trainer(base, trainable_copy(base.unet_weights()), toy_dataset(), settings, losses, processes)
trainer.run()
if processes.main:
    torch.save({"weights": trainer.weights(), "losses": losses.values, "count": processes.count}, path)
"""


def start(arguments: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    paths = f"{TESTS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    return subprocess.Popen(
        [sys.executable, "-c", WORKER.replace("STEPS", str(STEPS)), *arguments],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors[-3000:]


def test_two_processes_equal_one_with_the_doubled_batch(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = [{**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]
    finish(*(start([str(BATCH), "several", str(tmp_path / "two.pt")], rank) for rank in ranks))
    finish(start([str(2 * BATCH), "one", str(tmp_path / "one.pt")], {}))
    two, one = torch.load(tmp_path / "two.pt"), torch.load(tmp_path / "one.pt")
    assert (two["count"], one["count"]) == (2, 1)
    assert two["losses"] == pytest.approx(one["losses"], rel=1e-5)
    for key, value in one["weights"].items():
        torch.testing.assert_close(two["weights"][key], value, rtol=1e-3, atol=1e-4, msg=key)
    assert any(
        (value - two["weights"][key]).abs().max() < 1e-5 and value.abs().max() > 1e-4
        for key, value in one["weights"].items()
        if "zero_convs" in key
    )
