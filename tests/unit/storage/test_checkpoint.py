"""Checkpoints that hold more than tensors: only the tensors are read, and nothing of the rest is run."""

import io
import pickle
import random
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from torch import nn
from zeroconv.storage.checkpoint import read_checkpoint


class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.scale = nn.Parameter(torch.rand(4, 1, 1))

    def forward(self, x):
        return self.norm(self.conv(x)) * self.scale


class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(Inner(), nn.SiLU(), nn.Conv2d(4, 2, 1))

    def forward(self, x):
        return self.layers(x)


class Settings:
    """A class that the reader does not know, as training programs keep them beside the weights."""

    def __init__(self):
        self.history = [1, 2, 3]


class Trap:
    """Unpickled by `pickle`, makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def assert_equal(got, expected):
    assert got.keys() == expected.keys()
    assert all(torch.equal(got[key], expected[key]) for key in expected)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("half", [False, True])
def test_the_weights_of_a_torchscript_program_have_the_names_of_its_modules(tmp_path, half):
    network = Outer().eval()
    network = network.half() if half else network
    program = torch.jit.trace(network, torch.rand(1, 3, 8, 8, dtype=torch.half if half else torch.float))
    torch.jit.save(program, tmp_path / "a.torchscript.pt")
    assert_equal(read_checkpoint(tmp_path / "a.torchscript.pt"), dict(network.state_dict()))


def test_of_a_training_programs_state_only_the_weights_are_read(tmp_path):
    weights = Outer().state_dict()
    optimizer = {"state": {0: {"exp_avg": torch.rand(3)}}}
    state = {"meta": Settings(), "message_hub": [Settings()], "state_dict": weights, "optimizer": optimizer}
    torch.save(state, tmp_path / "a.pth")
    assert_equal(read_checkpoint(tmp_path / "a.pth"), dict(weights))


def test_parts_of_tensors_and_parameters_are_read_as_they_are(tmp_path):
    whole = torch.arange(24.0).reshape(4, 6)
    table = {"part": whole[1:, ::2], "turned": whole.T, "number": torch.tensor(3), "one": nn.Parameter(torch.ones(2))}
    torch.save(OrderedDict(table), tmp_path / "a.pth")
    assert_equal(read_checkpoint(tmp_path / "a.pth"), table)


def test_nothing_of_a_file_is_run(tmp_path):
    made = tmp_path / "made"
    torch.save({"a": torch.ones(2), "trap": Trap(made), "state": Settings()}, tmp_path / "a.pth")
    assert_equal(read_checkpoint(tmp_path / "a.pth"), {"a": torch.ones(2)})
    assert not made.exists()


def saved(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def rewritten(content, change):
    """The archive with one entry changed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        for entry in old.infolist():
            new.writestr(entry.filename, change(entry.filename, old.read(entry)))
    return buffer.getvalue()


def shortened(name, content):
    return content[:-4] if "/data/" in name else content


def repeated(name, content):
    """The tensor of 4 values says that it has a million, all of them the first."""
    sizes, strides = b"K\x04\x85q\x08", b"K\x01\x85q\t"
    return content.replace(sizes + strides, b"J" + (10**6).to_bytes(4, "little") + b"\x85K\x00\x85")


@pytest.mark.parametrize("change", [shortened, repeated])
def test_tensors_that_do_not_fit_their_values_are_refused(tmp_path, change):
    good = saved({"a": torch.ones(4)})
    bad = rewritten(good, change)
    (tmp_path / "a.pth").write_bytes(bad)
    with pytest.raises(ValueError, match=r"'a\.pth' is damaged"):
        read_checkpoint(tmp_path / "a.pth")


def test_damage_is_told_by_the_name_of_the_file(tmp_path):
    good = saved({"meta": Settings(), "state_dict": Outer().state_dict()})
    chance = random.Random(0)
    refused = whole = 0
    for _ in range(60):
        damaged = bytearray(good)
        for _ in range(chance.randint(1, 20)):
            damaged[chance.randrange(len(good))] = chance.randrange(256)
        (tmp_path / "a.pth").write_bytes(damaged[: chance.randint(len(good) // 2, len(good))])
        try:
            read_checkpoint(tmp_path / "a.pth")
        except ValueError as error:
            refused += "'a.pth'" in str(error)
        else:
            whole += 1
    assert refused + whole == 60
    assert refused > 20


def test_pickles_from_before_archives_are_left_to_the_strict_reader(tmp_path):
    (tmp_path / "a.pth").write_bytes(pickle.dumps(Settings()))
    with pytest.raises(ValueError, match=r"'a\.pth'"):
        read_checkpoint(tmp_path / "a.pth")
