"""Two processes give what one gives with the doubled batch, to rounding, with weights replicated or shared out."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from zeroconv.training.processes import has_fsdp, launched_processes

needs_fsdp = pytest.mark.skipif(not has_fsdp(), reason="training through FSDP needs PyTorch 2.6")

TESTS = Path(__file__).resolve().parents[2]
STEPS, BATCH = 3, 2

WORKER = """
import os
import sys
import torch
torch.set_num_threads(1)
from support.toy_base import ToyBase, toy_dataset
from zeroconv.training.base import Interrupted
from zeroconv.training.copy import trainable_copy
from zeroconv.training.loop import Trainer
from zeroconv.training.processes import launched_processes
from zeroconv.training.callbacks import Callbacks
from zeroconv.training.settings import Settings

class Losses(Callbacks):
    def __init__(self): self.values = []
    def stepped(self, progress):
        self.values.append(progress.loss)
        if str(progress.step) == os.environ.get("LOST_AT"):
            os._exit(9)  # as if killed
    def sample(self, trainer):  # only the main process samples, and is asked to stop while it does
        if trainer.processes.main and str(trainer.step) == os.environ.get("STOP_WHILE_SAMPLING_AT"):
            raise Interrupted

batch, steps, path = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
processes = launched_processes()
settings = Settings(
    steps=steps, batch=batch, gradient_accumulation_steps=2, learning_rate=1e-3, ema_decay=0.9,
    save_every=0, sample_every=1,
)
base, losses = ToyBase(), Losses()
trainer = Trainer(base, trainable_copy(base.unet_weights()), toy_dataset(), settings, losses, processes)
for state in sys.argv[4:]:
    trainer.restore(torch.load(state, weights_only=True)["state"])
with processes.noticing_loss():
    finished = trainer.run()
with trainer.network() as network:
    sampled = {key: value.clone() for key, value in network.state_dict().items()}
local = sum(getattr(p, "_local_tensor", p).numel() for p in trainer.control.parameters())
result = {"weights": trainer.weights(), "state": trainer.state(), "sampled": sampled, "local": local}
if processes.main:
    torch.save({**result, "losses": losses.values, "count": processes.count, "kind": type(processes).__name__,
                "step": trainer.step, "finished": finished}, path)
processes.finish()
"""


ENCODER = """
import json
import os
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from support.toy_base import ToyBase
from zeroconv.training.pairs.cache import Cache
from zeroconv.training.pairs.dataset import Preparation, prepare_pairs
from zeroconv.training.pairs.layouts import read_folder
from zeroconv.training.processes import launched_processes

encoded = []

class Counting(ToyBase):
    def encode_images(self, images):
        encoded.append(images.double().mean().item())
        return super().encode_images(images)
    def encode_prompts(self, prompts, height, width):
        encoded.append(prompts[0])
        return super().encode_prompts(prompts, height, width)

folder, processes = Path(sys.argv[1]), launched_processes()
pairs = read_folder(folder / "pairs").pairs
dataset = prepare_pairs(Counting(), pairs, Preparation(64), Cache(folder / "cache"), processes=processes)
made = len(encoded)
batch = dataset.batch(list(range(len(dataset))))
result = {"encoded": encoded, "later": len(encoded) - made, "latents": batch.latents.double().mean((1, 2, 3)).tolist(),
          "problems": dataset.problems}
(folder / f"{processes.index}.json").write_text(json.dumps(result))
processes.finish()
"""


def start(arguments: list[str], environment: dict[str, str], code: str = WORKER) -> subprocess.Popen[str]:
    paths = f"{TESTS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true", **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(*processes: subprocess.Popen[str]) -> None:
    try:
        for process in processes:
            _, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors[-3000:]
    finally:
        for process in processes:
            process.kill()


def two_ranks(environment: dict[str, str]) -> list[dict[str, str]]:
    """The environment of each of two processes that find each other, as a launcher sets it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [{**shared, **environment, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]


def run_two(arguments: list[str], environment: dict[str, str], code: str = WORKER) -> None:
    finish(*(start(arguments, rank, code) for rank in two_ranks(environment)))


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> dict:
    path = tmp_path_factory.mktemp("one") / "one.pt"
    finish(start([str(2 * BATCH), str(STEPS), str(path)], {}))
    return torch.load(path)


def same_weights(two: dict[str, torch.Tensor], one: dict[str, torch.Tensor]) -> None:
    assert two.keys() == one.keys()
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=1e-3, atol=1e-4, msg=key)


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({}, "AcceleratedProcesses"),
        pytest.param({"ACCELERATE_USE_FSDP": "true"}, "ShardedProcesses", marks=needs_fsdp),
    ],
    ids=["DDP", "FSDP"],
)
def test_two_processes_equal_one_with_the_doubled_batch(
    tmp_path: Path, one: dict, environment: dict[str, str], kind: str
) -> None:
    run_two([str(BATCH), str(STEPS), str(tmp_path / "two.pt")], environment)
    two = torch.load(tmp_path / "two.pt")
    assert (two["count"], two["kind"], one["count"]) == (2, kind, 1)
    assert two["losses"] == pytest.approx(one["losses"], rel=1e-5)
    same_weights(two["weights"], one["weights"])
    same_weights(two["sampled"], one["sampled"])
    assert any(
        (value - two["weights"][key]).abs().max() < 1e-5 and value.abs().max() > 1e-4
        for key, value in one["weights"].items()
        if "zero_convs" in key
    )


@needs_fsdp
def test_shared_out_a_process_keeps_half_and_goes_on_where_another_kind_stopped(tmp_path: Path, one: dict) -> None:
    """A state saved by one process is resumed by two with FSDP."""
    finish(start([str(2 * BATCH), "1", str(tmp_path / "first.pt")], {}))
    arguments = [str(BATCH), str(STEPS), str(tmp_path / "two.pt"), str(tmp_path / "first.pt")]
    run_two(arguments, {"ACCELERATE_USE_FSDP": "true"})
    two = torch.load(tmp_path / "two.pt")
    assert two["local"] <= 0.6 * one["local"]
    assert two["losses"] == pytest.approx(one["losses"][1:], rel=1e-5)
    same_weights(two["weights"], one["weights"])
    assert (
        two["state"]["optimizer"]["state"][0]["exp_avg"].shape == one["state"]["optimizer"]["state"][0]["exp_avg"].shape
    )


def test_an_interrupt_of_the_process_that_samples_ends_all(tmp_path: Path) -> None:
    """The others would wait for it in the next step, for ever."""
    run_two([str(BATCH), str(STEPS), str(tmp_path / "two.pt")], {"STOP_WHILE_SAMPLING_AT": "1"})
    two = torch.load(tmp_path / "two.pt")
    assert (two["step"], two["finished"]) == (1, False)


def test_a_lost_process_ends_the_other_with_one_sentence(tmp_path: Path) -> None:
    ranks = two_ranks({})
    killed = start([str(BATCH), str(STEPS), str(tmp_path / "two.pt")], {**ranks[1], "LOST_AT": "2"})
    other = start([str(BATCH), str(STEPS), str(tmp_path / "two.pt")], ranks[0])
    try:
        _, said = other.communicate(timeout=300)
        assert killed.wait(300) == 9
    finally:
        killed.kill()
        other.kill()
    assert other.returncode != 0
    last = said.strip().splitlines()[-1]
    assert "LostProcess: another process of this training has ended" in last, said[-3000:]


def test_two_processes_share_the_encoding_and_write_one_cache(tmp_path: Path) -> None:
    """Each picture and each prompt is encoded once, by one of them; both see all pairs, and the same problems."""
    generator = np.random.default_rng(0)
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs" / "conditioning_data").mkdir()
    for number in range(9):
        for folder in (tmp_path / "pairs", tmp_path / "pairs" / "conditioning_data"):
            Image.fromarray(generator.integers(0, 255, (64, 64, 3), np.uint8)).save(folder / f"{number}.png")
        (tmp_path / "pairs" / f"{number}.txt").write_text(f"prompt {number // 2}")
    (tmp_path / "pairs" / "4.png").write_bytes(b"not a picture")
    run_two([str(tmp_path)], {}, ENCODER)
    one, other = (json.loads((tmp_path / f"{index}.json").read_text()) for index in (0, 1))
    encoded = [*one["encoded"], *other["encoded"]]
    assert len(encoded) == len(set(encoded)) == 8 + 6, "8 pictures; 5 prompts and the empty one"
    assert min(len(one["encoded"]), len(other["encoded"])) >= 6
    assert (one["later"], other["later"]) == (0, 0)
    assert one["latents"] == other["latents"]
    assert len(one["latents"]) == 8
    assert one["problems"] == other["problems"]
    assert len(one["problems"]) == 1


def test_an_older_pytorch_is_told_before_anything_is_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch.distributed.fsdp

    monkeypatch.delattr(torch.distributed.fsdp, "fully_shard", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ValueError, match=r"FSDP needs PyTorch 2\.6 or later, not 2\."):
        launched_processes()
