"""`zeroconv train run.toml` in this process, on a small SD1.5 checkpoint: what it refuses, and what it writes."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors import safe_open
from support.checkpoints import SDXL_SMALL, cached
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


def written_step(folder: Path) -> int | None:
    path = folder / "out" / "new.safetensors"
    if not path.exists():
        return None
    with safe_open(path, "pt") as file:
        return int(file.metadata()["zeroconv.steps"])


def test_a_controlnet_of_another_family_to_continue_from_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = cached("sdxl-control1", "controlnet", SDXL_SMALL, 21)
    plan = write_plan(tmp_path, f'start = "{start.as_posix()}"')
    assert main(["train", str(plan)]) == 2
    said = capsys.readouterr().err
    assert start.name in said
    assert "SDXL" in said
    assert "SD1.5" in said


def test_a_training_that_does_not_fit_into_memory_is_refused_with_advice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from zeroconv.host.training.base_model import ComfyBase

    monkeypatch.setattr(ComfyBase, "free_bytes", lambda self: 10**9, raising=False)
    assert main(["train", str(write_plan(tmp_path))]) == 2
    said = capsys.readouterr().err
    assert "1.0 GB are free" in said
    assert "gradient_checkpointing" in said


@pytest.mark.parametrize("save_every", [0, 1], ids=["no file before", "an older file before"])
def test_a_finished_training_whose_file_was_not_written_writes_it_when_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, save_every: int
) -> None:
    from zeroconv.training.report import recorder

    save = recorder.save_controlnet

    def full(path, weights, description, *rest) -> None:
        if description.steps == STEPS:
            raise OSError("No space left on device")
        save(path, weights, description, *rest)

    plan = write_plan(tmp_path, save_every=save_every)
    with monkeypatch.context() as disk:
        disk.setattr(recorder, "save_controlnet", full)
        assert main(["train", str(plan)]) == 2
    assert written_step(tmp_path) == (1 if save_every else None)
    assert main(["train", str(plan)]) == 0
    assert written_step(tmp_path) == STEPS
    path = tmp_path / "out" / "new.safetensors"
    path.rename(path.with_name("renamed.safetensors"))
    assert main(["train", str(plan)]) == 0
    assert written_step(tmp_path) == STEPS


def test_check_says_how_many_pairs_have_no_prompt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(write_plan(tmp_path)), "--check"]) == 0
    said = capsys.readouterr().out
    assert "2 pairs" in said
    assert "1 of them have no prompt" in said


def test_check_measures_a_few_steps_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", str(write_plan(tmp_path)), "--check"]) == 0
    said = capsys.readouterr().out
    assert "Buckets: 64 x 64: 2." in said
    assert "An epoch: 2 steps" in said
    assert re.search(r"All 2 steps: [\d.]+ (seconds|minutes), [\d.]+ s each as measured here", said)
    # latents of 4 x 8 x 8 in half precision for 2 pairs; 77 x 768 for each of 2 prompts
    assert f"Cache: {(2 * 512 + 2 * 77 * 768 * 2) / 1e9:.3g} GB" in said
    assert not (tmp_path / "out").exists()
