"""Nothing of ours stays mapped or open after loading: files may be overwritten, cut, replaced, and so on Windows."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from support.comfy_host import import_host
from support.formats import KINDS, tensors
from support.toy_base import ToyBase, toy_dataset
from support.windows import in_use, pretend
from zeroconv.benchmarks.models.official_weights import random_state_dict
from zeroconv.commands import main
from zeroconv.controlnet.formats import load_ldm_state_dict, load_tensors
from zeroconv.controlnet.formats.files import read_state_dict
from zeroconv.preprocessors.weights.catalogue import build_network, to_safetensors
from zeroconv.training.copy import trainable_copy
from zeroconv.training.export import FileMetadata
from zeroconv.training.loop import Trainer
from zeroconv.training.report.recorder import Recorder, TrainingPaths
from zeroconv.training.report.samples import Sampling, Strip, take_examples
from zeroconv.training.settings import Settings

linux_only = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux lists what is mapped")
ALONE = [name for name, kind in KINDS.items() if kind.kind and not kind.needs_base and name != "ldm scaled fp8"]
"""Kinds of control that ZeroConv runs, without those that need the weights of a base model, or scales that fit."""
HOST_KINDS = ["ldm sd15", "sparse-ctrl scribble", "t2i-adapter light", "lllite sdxl", "flux xlabs", "stable cascade"]


def save(kind: str, path: Path, seed: int = 0) -> None:
    content = {key: value.contiguous() for key, value in tensors(KINDS[kind].shapes(), torch.float16, seed).items()}
    save_file(content, path) if path.suffix == ".safetensors" else torch.save(content, path)


def small(kind: str) -> bool:
    return sum(torch.Size(shape).numel() for shape in KINDS[kind].shapes().values()) < 60e6


@linux_only
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("kind", ALONE)
def test_no_kind_of_control_stays_mapped(tmp_path: Path, kind: str, suffix: str) -> None:
    if not small(kind):
        pytest.skip("a file of this kind is large even with small widths")
    path, other = tmp_path / f"net{suffix}", tmp_path / "base.safetensors"
    save(kind, path)
    base = None
    if KINDS[kind].needs_controlnet:
        save("ctrlora base", other)
        base = read_state_dict(other)
    _, loaded = load_tensors(path, controlnet=lambda: base or {})
    assert not in_use(path)
    assert not in_use(other)
    before = {key: value.clone() for key, value in loaded.items()}
    path.write_bytes(b"\xff" * path.stat().st_size)
    os.truncate(path, 1000)
    assert all(torch.equal(before[key], value) for key, value in loaded.items())


@linux_only
@pytest.mark.parametrize("kind", HOST_KINDS)
def test_no_control_of_the_load_node_stays_mapped(tmp_path: Path, kind: str) -> None:
    import_host()
    import folder_paths
    from support.hosted import FAMILIES, tiny
    from zeroconv.host.loading.load import load_control

    if not small(kind):
        pytest.skip("a file of this kind is large even with small widths")
    folder_paths.add_model_folder_path("controlnet", str(tmp_path))
    path = tmp_path / f"in-use-{kind.replace(' ', '-')}.safetensors"
    save(kind, path)
    with tiny(FAMILIES[kind]) if kind in FAMILIES else contextlib.nullcontext():
        control = load_control(path.name)
    assert control is not None
    assert not in_use(path)


@linux_only
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize(
    ("row", "file"), [("teed", "7_model"), ("mlsd_tiny", "mlsd_tiny_512_fp32"), ("lineart", "sk_model")]
)
def test_no_preprocessor_stays_mapped(tmp_path: Path, row: str, file: str, suffix: str) -> None:
    path = tmp_path / f"{file}{suffix}"
    content = random_state_dict(row)
    save_file(content, path) if suffix == ".safetensors" else torch.save(content, path)
    network = build_network(row, [tmp_path])
    assert not in_use(path)
    before = [value.clone() for value in network.state_dict().values()]
    os.truncate(path, 1000)
    assert all(torch.equal(*pair) for pair in zip(before, network.state_dict().values(), strict=True))


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/proc/self/maps").exists():
        pytest.skip("only Linux lists what is mapped")
    pretend(monkeypatch)


def train(folder: Path, steps: int) -> Path:
    """A training of a toy, or its continuation."""
    base = ToyBase()
    strip = Strip(base, take_examples(toy_dataset(4), 1), Sampling(steps=2))
    recorder = Recorder(TrainingPaths.of("new", folder, folder / "t"), FileMetadata("SD1.5", "toy", 4, 0), strip)
    settings = Settings(steps=steps, batch=2, learning_rate=1e-3, save_every=1, sample_every=1)
    trainer = Trainer(base, trainable_copy(base.unet_weights()), toy_dataset(4), settings, recorder)
    recorder.begin(trainer, True)
    trainer.run()
    return recorder.paths.network


def test_the_pretended_windows_refuses_what_windows_refuses(tmp_path: Path, windows: None) -> None:
    save_file({"a": torch.ones(1000)}, tmp_path / "a.safetensors")
    from safetensors.torch import load_file

    mapped = load_file(tmp_path / "a.safetensors")
    (tmp_path / "b").write_bytes(b"")
    with pytest.raises(PermissionError):
        (tmp_path / "b").replace(tmp_path / "a.safetensors")
    with pytest.raises(PermissionError):
        (tmp_path / "a.safetensors").unlink()
    del mapped
    for name in ("con.png", "a.", "a ", "a\\b", "x" * 300):
        with pytest.raises(OSError, match="syntax"):
            (tmp_path / name).write_bytes(b"")


def test_a_training_is_saved_again_while_its_network_is_loaded_on_windows(tmp_path: Path, windows: None) -> None:
    loaded = load_ldm_state_dict(train(tmp_path, 1))
    before = {key: value.clone() for key, value in loaded.items()}
    after = load_ldm_state_dict(train(tmp_path, 3))
    assert all(torch.equal(loaded[key], before[key]) for key in before)
    assert not all(torch.equal(after[key], before[key]) for key in before)
    assert not list(tmp_path.rglob("*.part"))


def test_a_loaded_file_is_converted_over_itself_on_windows(tmp_path: Path, windows: None) -> None:
    path = tmp_path / "net.safetensors"
    save("ldm sdxl small", path)
    loaded = load_ldm_state_dict(path)
    assert main(["convert", str(path), str(path), "--dtype", "bf16", "--overwrite"]) == 0
    assert {value.dtype for value in load_ldm_state_dict(path).values()} == {torch.bfloat16}
    assert {value.dtype for value in loaded.values()} == {torch.float16}


def test_loaded_weights_of_a_preprocessor_are_converted_again_on_windows(tmp_path: Path, windows: None) -> None:
    torch.save(random_state_dict("teed", 1), tmp_path / "7_model.pth")
    to_safetensors(tmp_path / "7_model.pth", tmp_path)
    network = build_network("teed", [tmp_path])
    to_safetensors(tmp_path / "7_model.pth", tmp_path)
    assert network is not None


@pytest.mark.parametrize("name", ["CON", "nul.v2", "a.", "a "])
def test_names_that_windows_reserves_are_refused_before_anything_is_trained(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="Choose another name"):
        TrainingPaths.of(name, tmp_path, tmp_path)


def test_a_folder_is_preprocessed_on_windows(tmp_path: Path, windows: None) -> None:
    deep = tmp_path / "in" / ("d" * 100)
    deep.mkdir(parents=True)
    room = 259 - len(str(tmp_path / "out" / ("d" * 100))) - 1
    for name in ("a.png", "a.jpg", "Größe 日本.png", "x" * (room - 4) + ".png"):
        Image.fromarray(np.zeros((70, 70, 3), np.uint8)).save(deep / name)
    assert main(["preprocess", "invert", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out").rglob("*.png"))) == 4
    assert not list((tmp_path / "out").rglob("*.part"))


def test_commands_read_and_print_where_the_default_encoding_is_cp1252(tmp_path: Path) -> None:
    """No text is read or written in the default encoding, and names in another writing are printed."""
    pairs = tmp_path / "pairs"
    pairs.mkdir()
    Image.fromarray(np.zeros((70, 70, 3), np.uint8)).save(pairs / "日本.png")
    (pairs / "日本.txt").write_text("日本の橋", encoding="utf-8")
    save("t2i-adapter light", tmp_path / "日本.safetensors")
    plan = tmp_path / "run.toml"
    paths = f'comfyui = "c"\ncheckpoint = "b"\ndataset = "{pairs.as_posix()}"\nname = "n"\noutput = "o"\n'
    plan.write_text(f"# 日本\n{paths}", encoding="utf-8")
    strict = [sys.executable, "-X", "warn_default_encoding", "-W", "error::EncodingWarning:zeroconv"]
    commands = (
        (["inspect", str(tmp_path / "日本.safetensors")], 0),
        (["preprocess", "invert", "--input", str(pairs), "--output", str(tmp_path / "hints")], 0),
        (["preprocess", "invert", "--input", str(tmp_path / "無い"), "--output", str(tmp_path / "hints")], 2),
        (["train", str(plan), "--check"], 2),  # the pairs are listed; there is no ComfyUI to try steps with
        (["fetch", "--list"], 0),
    )
    start = "import json, sys; from zeroconv.commands import main; print(list(map(main, json.loads(sys.argv[1]))))"
    done = subprocess.run(
        [*strict, "-c", start, json.dumps([arguments for arguments, _ in commands])],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"},
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode("cp1252")
    assert done.stdout.decode("cp1252").splitlines()[-1] == str([code for _, code in commands])
