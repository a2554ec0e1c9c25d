"""Folders that ControlNets and weights are looked for in."""

from pathlib import Path

import pytest
from support.comfy_host import import_host

import_host()

import folder_paths
from zeroconv.host.loading import load
from zeroconv.host.preprocessing.folders import hub_cache, weight_folders


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A ComfyUI whose folders for ControlNets hold one file each, and one name twice."""
    for key, name in (("controlnet", "a.safetensors"), ("model_patches", "b.safetensors")):
        (tmp_path / key).mkdir()
        (tmp_path / key / name).write_bytes(key.encode())
    (tmp_path / "model_patches" / "a.safetensors").write_bytes(b"another")
    (tmp_path / "xlabs" / "controlnets").mkdir(parents=True)
    (tmp_path / "xlabs" / "controlnets" / "c.safetensors").write_bytes(b"xlabs")
    known = {key: ([str(tmp_path / key)], {".safetensors"}) for key in ("controlnet", "model_patches")}
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", known)
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    monkeypatch.setattr(folder_paths, "models_dir", str(tmp_path))
    return tmp_path


def test_all_folders_are_listed_once(models):
    load.register_xlabs_folder()
    assert load.list_controlnets() == ["a.safetensors", "b.safetensors", "c.safetensors"]
    found = [Path(load.controlnet_file(name)).read_bytes() for name in load.list_controlnets()]
    assert found == [b"controlnet", b"model_patches", b"xlabs"]


def test_a_file_that_is_nowhere(models):
    with pytest.raises(FileNotFoundError, match=r"d\.safetensors"):
        load.controlnet_file("d.safetensors")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"HF_HUB_CACHE": "/a/hub"}, "/a/hub"),
        ({"HF_HOME": "/a"}, "/a/hub"),
        ({"XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
        ({}, "/home/.cache/huggingface/hub"),
    ],
)
def test_the_hubs_cache_is_where_its_variables_say(monkeypatch, variables, expected):
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert hub_cache() == Path(expected)


def test_the_hubs_cache_is_looked_into(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert tmp_path in weight_folders()
