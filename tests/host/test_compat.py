"""What only newer hosts have is taken where it is, and done without where it is not."""

import sys
from types import ModuleType, SimpleNamespace

import pytest
from support.comfy_host import import_host

import_host()

import comfy.controlnet
import comfy.model_patcher
from zeroconv.host import compat


class Newer:
    """Stands in for a class that only newer hosts have."""


@pytest.mark.parametrize(
    ("module", "name", "ask", "without"),
    [
        (comfy.model_patcher, "CoreModelPatcher", compat.model_patcher_class, comfy.model_patcher.ModelPatcher),
        (comfy.controlnet, "QwenFunControlNet", compat.qwen_fun_controls, ()),
    ],
)
def test_a_newer_class_is_looked_up_at_every_call(monkeypatch, module, name, ask, without):
    monkeypatch.delattr(module, name, raising=False)
    assert ask() == without
    monkeypatch.setattr(module, name, Newer, raising=False)
    found = ask()
    assert (found if isinstance(found, tuple) else (found,)) == (Newer,)


def test_nothing_is_a_control_of_a_kind_that_the_host_has_not(monkeypatch):
    monkeypatch.delattr(comfy.controlnet, "QwenFunControlNet", raising=False)
    assert not isinstance(Newer(), compat.qwen_fun_controls())


@pytest.mark.parametrize(("window", "length"), [({}, None), ({"total_frames": 0}, None), ({"total_frames": 81}, 81)])
def test_the_length_of_a_video_is_known_where_the_host_tells(window, length):
    assert compat.video_length(SimpleNamespace(**window)) == length


def test_several_devices_show_in_the_options():
    assert compat.has_device_clones({"multigpu_clones": {}})
    assert not compat.has_device_clones({"transformer_options": {}})


@pytest.mark.parametrize(
    ("ask", "name"),
    [
        (compat.model_patch_nodes, "comfy_extras.nodes_model_patch"),
        (compat.z_image_networks, "comfy.ldm.lumina.controlnet"),
    ],
)
def test_a_module_that_is_not_there_is_an_import_error(monkeypatch, ask, name):
    present = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, present)
    assert ask() is present
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError):
        ask()
