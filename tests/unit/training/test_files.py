"""What a training leaves behind: whole files or none, metadata, strips, curves, and an honest memory estimate."""

import dataclasses
import errno
import importlib
import json
import os
import random
import re
import shutil
import signal
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from support.networks import dimensions
from support.toy_base import ToyBase, toy_dataset
from zeroconv.commands import main
from zeroconv.controlnet.formats import load_ldm_state_dict
from zeroconv.controlnet.networks.controlnet import ControlNet, Inputs
from zeroconv.storage import writing
from zeroconv.storage.writing import write_safetensors
from zeroconv.training.copy import trainable_copy
from zeroconv.training.export import FileMetadata, save_controlnet
from zeroconv.training.loop import Trainer
from zeroconv.training.memory import advise, check_fits, estimate
from zeroconv.training.pairs.cache import Cache
from zeroconv.training.pairs.dataset import HintMaker
from zeroconv.training.plan import read_plan
from zeroconv.training.report.adherence import adherence, mean_adherence
from zeroconv.training.report.plot import Series, plot
from zeroconv.training.report.recorder import Recorder, TrainingPaths
from zeroconv.training.report.samples import Example, SampleRow, Sampling, Strip, sample_image, take_examples
from zeroconv.training.settings import Settings
from zeroconv.training.state import load_state, save_state

STATE = {"step": 1, "base": "b", "random": {"seed": 0}, "control": {}, "optimizer": {}, "ema": {}, "scaler": {}}
SETTINGS = Settings(steps=4, batch=2, learning_rate=1e-2, save_every=2, sample_every=2)


def trainer_with(recorder: Recorder, settings: Settings = SETTINGS) -> Trainer:
    base = ToyBase()
    return Trainer(base, trainable_copy(base.unet_weights()), toy_dataset(4), settings, recorder)


def recorder_at(folder: Path, maker: HintMaker | None = None) -> Recorder:
    base = ToyBase()
    strip = Strip(base, take_examples(toy_dataset(4), 2), Sampling(steps=3))
    return Recorder(
        TrainingPaths.of("new", folder, folder / "t"), FileMetadata("SD1.5", "toy", 4, 0, "CC0-1.0"), strip, maker
    )


def test_a_full_disk_is_an_error_before_the_old_file_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.pt"
    state = {**STATE, "control": {"w": torch.ones(1000)}}
    save_state(state, path)
    before = path.read_bytes()
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**6, 10**6, 3999))
    with pytest.raises(OSError, match="Make room"):
        save_state({**state, "step": 2}, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_crash_while_writing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.pt"
    state = STATE
    save_state(state, path)

    def fail(content: object, file: IO[bytes]) -> None:
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="No space"):
        save_state({**state, "step": 2}, path)
    assert load_state(path)["step"] == 1
    assert list(tmp_path.iterdir()) == [path]


def test_damaged_or_foreign_states_are_refused(tmp_path: Path) -> None:
    (tmp_path / "state.pt").write_bytes(b"PK half a file")
    with pytest.raises(ValueError, match="damaged"):
        load_state(tmp_path / "state.pt")
    torch.save({"weights": 1}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="not a saved training"):
        load_state(tmp_path / "other.pt")


def fill(cache: Cache, tensors: dict[str, torch.Tensor]) -> None:
    cache.get("key", lambda: tensors)
    cache.flush()


def test_an_entry_of_the_cache_that_lacks_its_tensor_is_made_again(tmp_path: Path) -> None:
    """A byte of a shard's header that changed can name the tensor otherwise."""
    fill(Cache(tmp_path), {"latent5": torch.zeros(4)})
    made = {"latents": torch.ones(4)}
    again = Cache(tmp_path)
    assert torch.equal(again.get("key", lambda: made, needed="latents")["latents"], made["latents"])


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit for the size of a process's files")
@pytest.mark.parametrize("name", ["new.safetensors", "state.pt", "cache"])
def test_a_disk_that_fills_while_writing_is_an_error_that_names_the_file(tmp_path: Path, name: str) -> None:
    """The limit on the size of files stands for the disk: writing fails after the look at the free room."""
    import resource

    big = {"w": torch.zeros(1 << 18)}
    write = {
        "new.safetensors": lambda: write_safetensors(tmp_path / name, big, {"format": "pt"}),
        "state.pt": lambda: save_state({**STATE, "control": big}, tmp_path / name),
        "cache": lambda: fill(Cache(tmp_path), big),
    }[name]
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(OSError, match="shard" if name == "cache" else name):
            write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def lacking(*names: str) -> Callable[[dict], dict]:
    return lambda state: {name: value for name, value in state.items() if name not in names}


@pytest.mark.parametrize(
    "change",
    [
        lacking("random", "scaler"),
        lacking("control"),
        lambda state: {**state, "control": {}},
        lambda state: {**state, "control": {key: value[:1] for key, value in state["control"].items()}},
        lambda state: {**state, "optimizer": {}},
        lambda state: {**state, "optimizer": {"state": {99: {"exp_avg": torch.zeros(1)}}, "param_groups": []}},
        lambda state: {**state, "ema": {"other": torch.zeros(1)}},
        lambda state: {**state, "step": "two"},
        lambda state: {**state, "base": "another"},
        lambda state: {**state, "random": {"seed": 5}},
        lambda state: [state],
    ],
)
def test_a_state_of_other_content_is_refused_by_its_name(tmp_path: Path, change: Callable[[dict], object]) -> None:
    settings = dataclasses.replace(SETTINGS, steps=1)
    first = recorder_at(tmp_path)
    trainer_with(first, settings).run()
    path = first.paths.state
    torch.save(change(torch.load(path, weights_only=True)), path)
    second = recorder_at(tmp_path)
    with pytest.raises(ValueError, match=re.escape(str(path))):
        second.begin(trainer_with(second, settings), resume=True)


def test_curves_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    first = recorder_at(tmp_path)
    trainer_with(first, dataclasses.replace(SETTINGS, steps=1)).run()
    for garbage in ("{garbage", "[]", '{"loss": 3, "adherence": [], "uncontrolled": []}', "[" * 100_000):
        first.paths.curves.write_text(garbage)
        second = recorder_at(tmp_path)
        with pytest.raises(ValueError, match=r"curves\.json"):
            second.begin(trainer_with(second), resume=True)


def test_every_damage_to_a_saved_state_ends_in_a_sentence(tmp_path: Path) -> None:
    """Bytes changed, left out and cut off by chance: what is read is whole, or the error names the file."""
    path = tmp_path / "state.pt"
    save_state({**STATE, "control": {"w": torch.ones(20)}, "optimizer": {"state": {0: {"step": torch.ones(())}}}}, path)
    whole, generator, said = path.read_bytes(), random.Random(0), []
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(generator.randint(1, 8)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        cut = generator.randrange(len(damaged)) if generator.random() < 0.3 else len(damaged)
        path.write_bytes(damaged[:cut])
        try:
            load_state(path)
        except ValueError as error:
            said.append(str(error))
    assert len(said) > 50
    assert all("state.pt" in message for message in said)


def test_export_round_trips_in_ldm_keys_with_metadata(tmp_path: Path) -> None:
    control = trainable_copy(ToyBase().unet_weights())
    path = tmp_path / "new.safetensors"
    save_controlnet(path, control.state_dict(), FileMetadata("SD1.5", "abc", 7, 12, "CC0-1.0"))
    loaded = load_ldm_state_dict(path)
    assert loaded.keys() == control.state_dict().keys()
    assert all(torch.equal(loaded[key], value.half()) for key, value in control.state_dict().items())
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert metadata["zeroconv.base_fingerprint"] == "abc"
    assert (metadata["zeroconv.steps"], metadata["zeroconv.pairs"]) == ("12", "7")
    assert (metadata["zeroconv.base_family"], metadata["modelspec.license"]) == ("SD1.5", "CC0-1.0")


def test_recorder_leaves_all_files_and_goes_on_with_its_curves(tmp_path: Path) -> None:
    maker = HintMaker("same", lambda image: image)
    recorder = recorder_at(tmp_path, maker)
    trainer = trainer_with(recorder, dataclasses.replace(SETTINGS, steps=2))
    assert recorder.begin(trainer, resume=True) is False
    trainer.run()
    names = {path.name for path in (tmp_path / "t" / "new").iterdir()}
    assert names == {"state.pt", "curves.png", "curves.json", "samples_000000.png", "samples_000002.png"}
    assert recorder.strip_image().size == (3 * 32, 2 * 32)
    again = recorder_at(tmp_path, maker)
    second = trainer_with(again)
    assert again.begin(second, resume=True) is True
    assert second.step == 2
    second.run()
    curves = json.loads((tmp_path / "t" / "new" / "curves.json").read_text())
    assert [point[0] for point in curves["loss"]] == [1, 2, 3, 4]
    assert [point[0] for point in curves["adherence"]] == [0, 2, 4]
    assert curves["adherence"][0] == curves["uncontrolled"][0], "at first the control changes nothing"
    assert curves["adherence"][2] != curves["uncontrolled"][2]
    with pytest.raises(ValueError, match="exists already"):
        recorder_at(tmp_path).begin(trainer_with(recorder_at(tmp_path)), resume=False)


def test_a_training_that_is_killed_between_any_two_files_ends_with_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker, real = HintMaker("same", lambda image: image), writing.put_in_place

    def finish(folder: Path) -> None:
        recorder = recorder_at(folder, maker)
        trainer = trainer_with(recorder, dataclasses.replace(SETTINGS, steps=2, save_every=1, sample_every=1))
        recorder.begin(trainer, resume=True)
        trainer.run()

    class Killed(BaseException):
        """Nobody catches it."""

    def content(folder: Path) -> dict[str, object]:
        """Pictures and weights byte for byte, curves by their steps: the loss is smoothed anew after a kill."""
        curves = json.loads((folder / "t" / "new" / "curves.json").read_text())
        paths = [path for path in folder.rglob("*") if path.is_file() and path.stem not in ("state", "curves")]
        steps = {name: [step for step, _ in points] for name, points in curves.items()}
        return {**steps, **{path.name: path.read_bytes() for path in paths}}

    finish(tmp_path / "whole")
    files = 0
    for files in range(100):
        written = []

        def put_in_place(part: Path, path: Path, written: list[Path] = written, files: int = files) -> None:
            if len(written) == files:
                raise Killed
            written.append(path)
            real(part, path)

        monkeypatch.setattr(writing, "put_in_place", put_in_place)
        folder = tmp_path / str(files)
        try:
            finish(folder)
        except Killed:
            monkeypatch.setattr(writing, "put_in_place", real)
            finish(folder)
            assert content(folder) == content(tmp_path / "whole"), f"killed after {files} files"
        else:
            break
    assert files > 10


def test_what_killed_ones_left_is_removed_by_those_that_have_nothing_to_write(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, steps=1)

    def finish() -> None:
        recorder = recorder_at(tmp_path)
        trainer = trainer_with(recorder, settings)
        recorder.begin(trainer, resume=True)
        trainer.run()

    finish()
    Image.new("RGB", (70, 70)).save(tmp_path / "a.png")
    command = ["preprocess", "invert", "--input", str(tmp_path), "--output", str(tmp_path / "hints")]
    fill(Cache(tmp_path / "cache"), {"a": torch.ones(1)})
    assert main(command) == 0
    for folder in (tmp_path, tmp_path / "t" / "new", tmp_path / "cache", tmp_path / "hints"):
        (folder / "zeroconv-12345678.part").write_bytes(b"half")
        os.utime(folder / "zeroconv-12345678.part", (0, 0))
    finish()
    Cache(tmp_path / "cache")
    assert main(command) == 0
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("name", ["../up", "", "a/b", ".hidden"])
def test_names_stay_in_their_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a good name"):
        TrainingPaths.of(name, tmp_path, tmp_path)


def test_samples_repeat_by_seed_and_a_new_control_changes_no_bit() -> None:
    base, dataset = ToyBase(), toy_dataset(2)
    example, sampling = take_examples(dataset, 1)[0], Sampling(steps=4)
    control = trainable_copy(base.unet_weights())
    free = sample_image(base, None, example, sampling)
    assert free.shape == (3, 32, 32)
    assert torch.equal(sample_image(base, control, example, sampling), free)
    assert not torch.equal(sample_image(base, None, example, Sampling(steps=4, seed=1)), free)
    torch.nn.init.constant_(control.middle_block_out[0].bias, 1.0)
    assert not torch.equal(sample_image(base, control, example, sampling), free)


def test_sampling_stops_within_a_step_and_the_training_is_saved(tmp_path: Path) -> None:
    recorder = recorder_at(tmp_path)
    asked: list[int] = []

    def interrupted() -> bool:
        asked.append(1)
        return len(asked) > 4  # the strip has six steps of sampling and more

    recorder.interrupted = interrupted
    trainer = trainer_with(recorder)
    assert trainer.run() is False
    assert len(asked) <= 6
    assert recorder.rows == []
    assert load_state(recorder.paths.state)["step"] == 0


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_sampling_is_ddim(prediction: str) -> None:
    """An oracle that knows the picture leads every start to it exactly."""
    base = ToyBase(prediction=prediction)
    picture = torch.rand(1, 4, 4, 4)

    def oracle(x, timesteps, prompt, residuals):
        signal, spread = base.schedule.levels(timesteps)
        return base.schedule.target(picture, (x - signal * picture) / spread, timesteps)

    base.predict = oracle
    base.decode_latents = lambda latents: latents
    plain = toy_dataset(1).batch([0])
    example = Example(plain.hints, plain.prompts, plain.empty)
    for guidance in (1.0, 5.0):
        torch.testing.assert_close(
            sample_image(base, None, example, Sampling(7, guidance)), picture[0], atol=1e-3, rtol=1e-3
        )


def test_adherence_measures_agreement() -> None:
    generator = torch.Generator().manual_seed(0)
    lines = (torch.rand(3, 128, 128, generator=generator) > 0.97).float()
    assert adherence(lines, lines) == pytest.approx(1, abs=1e-4)
    assert adherence(lines, 1 - lines) == pytest.approx(-1, abs=1e-4)
    other = (torch.rand(3, 128, 128, generator=generator) > 0.97).float()
    assert abs(adherence(lines, other)) < 0.1
    assert 0.7 < adherence(lines, lines.roll(1, -1)) < 1
    assert adherence(lines, torch.zeros_like(lines)) == 0
    assert adherence(lines, 0.5 * lines + 0.2) == pytest.approx(1, abs=1e-4)


def test_mean_adherence_tells_obeying_from_free() -> None:
    hint = torch.zeros(3, 64, 64)
    hint[:, 10:30, 10:30] = 1
    other = hint.roll(32, -1)
    maker = HintMaker("same", lambda image: image)
    controlled, free = mean_adherence([SampleRow(hint, hint, other)], maker)
    assert controlled == pytest.approx(1, abs=1e-4)
    assert free < 0.1


def test_plot_draws_each_curve_in_its_panel() -> None:
    rising = Series("loss", [(step, float(step)) for step in range(50)])
    image = plot([[rising], [Series("empty", [])]])
    assert image.size == (640, 200)
    blue = [(x, y) for x in range(640) for y in range(200) if image.getpixel((x, y)) == (31, 119, 180) and y > 26]
    left, right = min(blue), max(blue)
    assert right[0] - left[0] > 500
    assert left[1] - right[1] > 120, "a rising curve ends above its beginning"


@pytest.mark.parametrize("family", ["SD1.5", "SDXL"])
def test_activation_estimate_is_what_autograd_keeps(family: str) -> None:
    from zeroconv.training import memory

    dims = dimensions(family, 64)
    network = ControlNet(dims)
    weights = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept: dict[int, int] = {}
    alive = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    y = torch.randn(1, 2816) if dims.adm_channels else None
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        embedded = network.embed_hint(torch.rand(1, 3, 256, 256))
        projected = network.project_context(torch.randn(1, 7, dims.context_dim))
        alive.append(network(Inputs(torch.randn(1, 4, 32, 32), torch.tensor([3]), y), embedded, projected))
    computed = memory._hint_floats(dims, 1024) + sum(inside for _, inside in memory._encoder(dims, 1024))
    assert 4 * computed == pytest.approx(sum(kept.values()), rel=0.1)


def test_stable_diffusion_1_5_at_512_trains_within_nine_gigabytes() -> None:
    dims = dimensions("SD1.5", 320)
    plain = Settings(batch=1, precision="bfloat16", gradient_checkpointing=True)
    need = estimate(dims, plain, 512, 512, base_bytes=1.72e9)
    assert 8e9 < need.total < 9e9
    assert estimate(dims, dataclasses.replace(plain, optimizer="adamw8bit"), 512, 512, 1.72e9).total < 7.5e9


def test_every_advice_saves_memory() -> None:
    dims, size = dimensions("SD1.5", 320), (512, 512)
    settings = Settings(batch=4, ema_decay=0.999)
    options = advise(dims, settings, *size)
    assert len(options) == 5
    changes = [
        {"precision": "bfloat16"},
        {"gradient_checkpointing": True},
        {"batch": 1},
        {"optimizer": "adamw8bit"},
        {"ema_decay": 0.0},
    ]
    before = estimate(dims, settings, *size, 1.7e9).total
    for change in changes:
        assert estimate(dims, dataclasses.replace(settings, **change), *size, 1.7e9).total < before
    with pytest.raises(ValueError, match="gradient_checkpointing"):
        check_fits(dims, settings, size, 1.7e9, free=8e9)
    assert check_fits(dims, settings, size, 1.7e9, free=80e9).total == before


PLAN = """
comfyui = "comfy"
checkpoint = "base.safetensors"
dataset = "pairs"
name = "new"
output = "out"
[settings]
steps = 7
[objective]
prompt_dropout = 0.2
[pairs]
resolution = 256
"""


def test_plan_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    path.write_text(PLAN)
    plan = read_plan(path)
    assert (plan.settings.steps, plan.settings.objective.prompt_dropout, plan.resolution) == (7, 0.2, 256)
    assert plan.dataset == tmp_path / "pairs"
    assert plan.settings.batch == Settings().batch


def test_a_plan_is_read_on_python_3_10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There TOML is read by the package tomli, which is among the requirements."""
    if sys.version_info >= (3, 11):
        monkeypatch.setitem(sys.modules, "tomli", importlib.import_module("tomllib"))
        monkeypatch.setitem(sys.modules, "tomllib", None)
    (tmp_path / "run.toml").write_text(PLAN)
    assert read_plan(tmp_path / "run.toml").settings.steps == 7


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "new"\n', "", "name must be given"),
        ("steps = 7", "stepz = 7", "stepz"),
        ("[pairs]", "[pairs", "not a TOML file"),
        ("steps = 7", 'steps = "7"', "steps in .settings. must be a whole number"),
        ("steps = 7", "learning_rate = true", "must be a number"),
        ("resolution = 256", "flip = 1", "true or false"),
        ('name = "new"', "name = 7", "name must be text"),
        ("steps = 7", 'optimizer = "sgd"', "optimizer must be adamw"),
        ("steps = 7", "steps = 0", "steps must be at least 1"),
    ],
)
def test_mistakes_in_a_plan_are_told(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "run.toml"
    path.write_text(PLAN.replace(old, new))
    with pytest.raises(ValueError, match=message):
        read_plan(path)
