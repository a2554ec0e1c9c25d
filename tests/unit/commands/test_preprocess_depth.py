"""`zeroconv preprocess --depth`: raw depth of a folder, the same values whatever the batch."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from zeroconv.commands import main


class Brightness(torch.nn.Module):
    """Takes five times the brightness for what it estimates."""

    def __init__(self) -> None:
        super().__init__()
        self.unit = torch.nn.Parameter(torch.tensor(5.0))

    def forward(self, images):
        return images.mean(1, keepdim=True) * self.unit + 1


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "zeroconv.preprocessors.weights.local_networks.build_network", lambda name, folders: Brightness()
    )
    (tmp_path / "in").mkdir()
    for index, top in enumerate((120, 250)):
        ramp = np.linspace(0, top, 64).round().astype(np.uint8)
        Image.fromarray(np.broadcast_to(ramp[None, :, None], (64, 64, 3)).copy()).save(tmp_path / "in" / f"{index}.png")
    return tmp_path


def run(folder, method, *more: str) -> int:
    return main(["preprocess", method, "--input", str(folder / "in"), "--output", str(folder / "out"), *more])


def levels(path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(np.float64)


def test_each_picture_uses_all_levels_and_tells_its_limits(folder):
    assert run(folder, "midas_depth", "--depth", "png16", "--set", "network_size=64") == 0
    for index in (0, 1):
        image = Image.open(folder / "out" / f"{index}.png")
        shown = np.asarray(image)
        assert shown.dtype == np.uint16
        assert (shown.min(), shown.max()) == (0, 65535)
        scale = json.loads(image.text["depth"])
        assert scale["white"] == pytest.approx(1 + 5 * (120, 250)[index] / 255, abs=0.05)


def test_fixed_limits_are_those_of_all_pictures(folder):
    assert run(folder, "midas_depth", "--depth", "png16", "--set", "network_size=64,normalize=fixed,near=11,far=1") == 0
    for index, top in enumerate((120, 250)):
        assert levels(folder / "out" / f"{index}.png")[30, 63] == pytest.approx(top / 255 / 2 * 65535, rel=0.02)


def test_exr_and_millimeters(folder):
    assert run(folder, "zoe_depth", "--depth", "exr", "--set", "network_size=64") == 0
    assert (folder / "out" / "0.exr").read_bytes()[:4] == b"\x76\x2f\x31\x01"
    assert run(folder, "zoe_depth", "--depth", "png16-mm", "--set", "network_size=64") == 0
    assert levels(folder / "out" / "1.png")[30, 63] == pytest.approx(1000 * (1 + 5 * 250 / 255), rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("canny", "--depth", "exr"), "gives no depth. Methods that do: midas_depth"),
        (("midas_depth", "--depth", "png16-mm"), "no depth in meters. Methods that do: "),
        (("midas_depth", "--set", "normalize=per batch"), "normalize=fixed"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_made(folder, capsys, arguments, word):
    assert run(folder, *arguments) == 2
    assert word in capsys.readouterr().err
    assert not (folder / "out").exists()
