"""A ControlNet whose weights are NaN or infinite gives black pictures: Load, Convert and Inspect say so."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.formats import KINDS, tensors
from zeroconv.commands import main
from zeroconv.controlnet.formats import load_tensors
from zeroconv.controlnet.formats.inspect import inspect_file

DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]


def write(path: Path, dtype: torch.dtype, value: float) -> str:
    """A T2I-Adapter with one bad number at the end of one tensor; returns the tensor's name."""
    content = tensors(KINDS["t2i-adapter light"].shapes(), torch.float32)
    key = sorted(content)[3]
    content[key].view(-1)[-1] = value
    content = {name: tensor.to(dtype).contiguous() for name, tensor in content.items()}
    save_file(content, path) if path.suffix == ".safetensors" else torch.save(content, path)
    return key


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_nan_is_told_by_load_and_inspect(tmp_path: Path, dtype: torch.dtype, suffix: str) -> None:
    path = tmp_path / f"bad{suffix}"
    key = write(path, dtype, float("nan"))
    with pytest.raises(ValueError, match=rf"'bad{suffix}'.*1 of its tensors hold NaN"):
        load_tensors(path)
    report = inspect_file(path)
    assert key in report.damage
    assert "DAMAGED: 1 of its tensors" in str(report)


@pytest.mark.parametrize("value", [float("inf"), -float("inf")])
def test_infinity_is_told_too(tmp_path: Path, value: float) -> None:
    write(tmp_path / "bad.safetensors", torch.float16, value)
    assert "infinite" in inspect_file(tmp_path / "bad.safetensors").damage


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_largest_numbers_are_good(tmp_path: Path, dtype: torch.dtype) -> None:
    write(tmp_path / "good.safetensors", dtype, torch.finfo(dtype).max)
    assert inspect_file(tmp_path / "good.safetensors").damage == ""
    load_tensors(tmp_path / "good.safetensors")


def test_the_command_shows_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "bad.safetensors", torch.float16, float("nan"))
    main(["inspect", str(tmp_path / "bad.safetensors")])
    assert "DAMAGED" in capsys.readouterr().out
