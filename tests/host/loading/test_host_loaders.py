"""Every branch of ComfyUI's own loaders: each kind of file that they know is one that we load, or say why not."""

import ast
import importlib
import inspect

import pytest
from support.comfy_host import import_host

import_host()

import comfy.controlnet
from support.formats import KINDS
from zeroconv.controlnet.formats import FORMATS
from zeroconv.controlnet.formats.scaled import plain

ASKED_BESIDE = {"difference", "control_type", "adapter", "lora_controlnet"}
"""What the loaders ask for besides the key that tells a kind: a mark or a wrapper, not a tensor of a network."""


def keys_asked(source):
    """Texts that a loader looks for among the keys of a file: `"..." in keys`, `key.endswith("...")`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
            if isinstance(node.left, ast.Constant) and isinstance(node.left.value, str):
                yield node.left.value
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "endswith":
            yield from (part.value for part in node.args if isinstance(part, ast.Constant))


def branches():
    """The keys by which this ComfyUI tells kinds of files apart."""
    loaders = [comfy.controlnet.load_controlnet_state_dict, comfy.controlnet.load_t2i_adapter]
    patches = importlib.import_module("comfy_extras.nodes_model_patch")
    loaders.append(patches.ModelPatchLoader.load_model_patch)
    found = {key for loader in loaders for key in keys_asked(inspect.cleandoc("\n" + inspect.getsource(loader)))}
    return sorted(key for key in found - ASKED_BESIDE if "." in key and "{" not in key)


def holds(shapes, key):
    return any(name == key or name.endswith(key) for name in shapes)


@pytest.fixture(scope="module")
def files():
    return {name: plain(kind.shapes()) for name, kind in KINDS.items()}


def test_the_loaders_are_read():
    assert {"after_proj_list.18.bias", "controlnet_blocks.0.y_rms.weight", "body.0.in_conv.weight"} <= {*branches()}


@pytest.mark.parametrize("key", branches())
def test_a_file_that_comfyui_tells_by_this_key_is_known(key, files):
    """A branch of a newer host that no kind of ours has fails here: then a family has come."""
    having = [name for name, shapes in files.items() if holds(shapes, key)]
    assert having, f"ComfyUI looks for '{key}', and no kind of file in support/formats.py has it"
    for name in having:
        (form,) = [form for form in FORMATS if form.recognise(files[name])]
        assert form.kind or form.needs
