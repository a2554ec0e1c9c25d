"""Weights are found where people have them: by name, as the other pack keeps them, and in the hub's cache."""

import os

import pytest
from zeroconv.preprocessors.weights.catalogue import find, weights_of

PLACES = {
    "plain": "ControlNetHED.pth",
    "comfyui_controlnet_aux": "lllyasviel/Annotators/ControlNetHED.pth",
    "hub cache": "models--lllyasviel--Annotators/snapshots/0123abc/ControlNetHED.pth",
    "sd-webui": "hed/ControlNetHED.pth",
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_file_is_found(tmp_path, place):
    file = tmp_path / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"x")
    assert find(weights_of("hed"), [tmp_path / "absent", tmp_path]) == file


def test_a_space_of_the_hub_and_a_subfolder(tmp_path):
    row = weights_of("dav1_vits")
    file = tmp_path / "spaces--LiheYoung--Depth-Anything" / "snapshots" / "a" / row.path
    file.parent.mkdir(parents=True)
    file.write_bytes(b"x")
    assert find(row, [tmp_path]) == file


def test_the_newest_snapshot_is_taken(tmp_path):
    snapshots = tmp_path / "models--lllyasviel--Annotators" / "snapshots"
    for age, name in enumerate(("new", "old")):
        (snapshots / name).mkdir(parents=True)
        (snapshots / name / "ControlNetHED.pth").write_bytes(b"x")
        os.utime(snapshots / name, (1000 - age, 1000 - age))
    assert find(weights_of("hed"), [tmp_path]) == snapshots / "new" / "ControlNetHED.pth"
