"""Krita AI Diffusion: the nodes that it demands of a server, and those that its control modes call, with their values.

The calls are written down here, so that this needs no Krita; KRITA_DIR names its folder and shows that they still are.
"""

import ast

import pytest
import torch
from support.comfy_host import import_host
from support.other_packs import pack_directory

import_host()

from zeroconv.nodes.stand_ins import STAND_INS
from zeroconv.nodes.stand_ins.node import node_of

ROWS = {row.id: row for row in STAND_INS}
DEMANDED = ("InpaintPreprocessor", "DepthAnythingV2Preprocessor")
CALLS = {
    "PiDiNetPreprocessor": {"resolution": 512, "safe": "enable"},
    "ScribblePreprocessor": {"resolution": 512},
    "LineArtPreprocessor": {"resolution": 512, "coarse": "disable"},
    "AnyLineArtPreprocessor_aux": {
        "resolution": 512, "merge_with_lineart": "lineart_standard", "lineart_lower_bound": 0.0,
        "lineart_upper_bound": 1.0, "object_min_size": 36, "object_connectivity": 1,
    },
    "CannyEdgePreprocessor": {"resolution": 512, "low_threshold": 80, "high_threshold": 200},
    "DepthAnythingV2Preprocessor": {"resolution": 512, "ckpt_name": "depth_anything_v2_vitb.pth"},
    "BAE-NormalMapPreprocessor": {"resolution": 512},
    "DWPreprocessor": {
        "resolution": 512, "detect_hand": "enable", "detect_body": "enable", "detect_face": "enable",
        "bbox_detector": "yolo_nas_l_fp16.onnx", "pose_estimator": "dw-ll_ucoco_384.onnx",
    },
    "OneFormer-COCO-SemSegPreprocessor": {"resolution": 512},
    "InpaintPreprocessor": {"black_pixel_for_xinsir_cn": True},
}  # fmt: skip
WITHOUT = {"MeshGraphormer-DepthMapPreprocessor"}
"""Nodes of comfyui_controlnet_aux that Krita calls and that nothing here can do: its mode Hands."""


@pytest.mark.parametrize("name", CALLS)
def test_what_it_asks_for_is_valid(name):
    """As the host checks a prompt: names, types and choices, and all that is required."""
    schema = {item.id: item for item in node_of(ROWS[name]).GET_SCHEMA().inputs}
    rows = {item.id: item for item in ROWS[name].inputs}
    required = {key for key, item in schema.items() if not item.optional}
    assert required <= {*CALLS[name], "image", "mask"}
    for key, value in CALLS[name].items():
        if rows[key].choices:
            assert value in rows[key].choices
        if rows[key].minimum is not None:
            assert rows[key].minimum <= value <= rows[key].maximum


def test_inpaint_marks_what_is_masked():
    image, mask = torch.rand(1, 64, 64, 3), torch.zeros(1, 64, 64)
    mask[:, :32] = 1
    (marked,) = node_of(ROWS["InpaintPreprocessor"]).execute(image=image, mask=mask).args
    assert bool((marked[:, :31] == -1).all())
    assert torch.equal(marked[:, 33:], image[:, 33:])


def calls_of(file):
    """Every `.add("<id>", ...)` of a source file: the id and what its keywords say in the open."""
    for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        named = isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "add"
        if named and call.args and isinstance(call.args[0], ast.Constant):
            yield str(call.args[0].value), {word.arg: word.value for word in call.keywords if word.arg}


def test_the_calls_are_kritas():
    backend = pack_directory("KRITA_DIR") / "ai_diffusion" / "backend"
    found = {}
    for file in ("workflow.py", "comfy_workflow.py"):
        found.update({name: words for name, words in calls_of(backend / file) if "Preprocessor" in name})
    assert set(found) == {*CALLS, *WITHOUT}
    for name, words in found.items():
        if name in WITHOUT:
            continue
        assert set(words) <= {item.id for item in ROWS[name].inputs}
        for key, value in words.items():
            if isinstance(value, ast.Constant) and key in CALLS[name]:
                assert value.value == CALLS[name][key] or key.startswith("bbox"), (name, key)


def test_the_nodes_it_demands_are_there():
    source = (pack_directory("KRITA_DIR") / "ai_diffusion" / "backend" / "resources.py").read_text(encoding="utf-8")
    (demanded,) = (
        ast.literal_eval(call.args[4])
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call)
        and len(call.args) == 5
        and getattr(call.args[1], "value", "") == "comfyui_controlnet_aux"
    )
    assert set(demanded) == set(DEMANDED)
    assert set(DEMANDED) <= set(ROWS)
