"""`zeroconv dataset`: encode once by a small SD1.5 checkpoint, train from the result without the pictures."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.comfy_host import import_host
from support.training_plan import STEPS, write_plan
from zeroconv.commands import main


@pytest.fixture(autouse=True)
def host() -> Iterator[None]:
    """ComfyUI in this process; the command's own way of stopping at Ctrl+C ends with the test."""
    import_host()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_training_from_a_prepared_set_is_that_from_the_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, prepared = write_plan(tmp_path, pairs_count=3), tmp_path / "prepared"
    assert main(["train", str(plan)]) == 0
    expected = (tmp_path / "out" / "new.safetensors").read_bytes()
    assert main(["dataset", str(plan), str(prepared)]) == 0
    assert "3 pairs, 0 skipped" in capsys.readouterr().out
    assert main(["dataset", str(plan), str(prepared), "--verify"]) == 0
    shutil.rmtree(tmp_path / "pairs")
    shutil.rmtree(tmp_path / "out")
    plan.write_text(plan.read_text().replace('dataset = "pairs"', 'dataset = "prepared"'))
    assert main(["train", str(plan), "--check"]) == 0
    assert "3 pairs, encoded for SD1.5 at 64 pixels" in capsys.readouterr().out
    assert main(["train", str(plan)]) == 0
    assert f"Finished after step {STEPS}" in capsys.readouterr().out
    assert (tmp_path / "out" / "new.safetensors").read_bytes() == expected
    assert not (tmp_path / "out" / "cache").exists()


def test_a_changed_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepared = tmp_path / "prepared"
    assert main(["dataset", str(write_plan(tmp_path)), str(prepared)]) == 0
    shard = next(prepared.glob("*.safetensors"))
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    assert main(["dataset", "run.toml", str(prepared), "--verify"]) == 1
    assert shard.name in capsys.readouterr().err
