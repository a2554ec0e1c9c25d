"""Saved workflows with nodes of comfyui_controlnet_aux and Advanced-ControlNet pass the host's validation by our rows.

AUX_DIR and ACN_DIR name folders of the packs, whose examples are tried too.
"""

import copy

import pytest
from support.other_packs import pack_directory
from support.saved_workflows import refusals, types_of, workflows_in

from zeroconv.nodes.stand_ins import STAND_INS  # isort: skip

ROWS = {row.id: row for row in STAND_INS}
WITHOUT = {"SAMPreprocessor", "Metric3D-DepthMapPreprocessor", "Metric3D-NormalMapPreprocessor"}
"""Nodes of the packs' examples whose work nothing here does."""


def node(number, kind, widgets=None, **wired):
    """A node as it is saved. wired: number of the link of each input, None for an open one."""
    inputs = [{"name": name, "type": "*", "link": link} for name, link in wired.items()]
    return {"id": number, "type": kind, "widgets_values": widgets, "inputs": inputs}


SAVED = {
    "nodes": [
        {"id": 1, "type": "LoadImage", "outputs": [{"type": "IMAGE"}, {"type": "MASK"}]},
        {"id": 2, "type": "CLIPTextEncode", "outputs": [{"type": "CONDITIONING"}]},
        node(3, "CannyEdgePreprocessor", [80, 200, 512], image=1),
        node(4, "M-LSDPreprocessor", [0.1, 0.1], image=1),  # before it had a resolution
        node(5, "LeReS-DepthMapPreprocessor", [0, 0, "enable"], image=1),
        node(6, "ColorPreprocessor", image=1),
        node(7, "ShufflePreprocessor", [512, 7, "randomize"], image=1),
        node(8, "DWPreprocessor", ["enable", "enable", "disable"], image=1),
        node(9, "SavePoseKpsAsJsonFile", ["PoseKeypoint"], pose_kps=5),
        node(10, "InpaintPreprocessor", image=1, mask=2),
        node(11, "ACN_AnimaLLLiteLoaderAdvanced", ["anima.safetensors"], timestep_kf=None),
        node(12, "ACN_AnimaLLLiteExtras", inpaint_mask=2, cn_extras=None),
        node(13, "ACN_DefaultUniversalWeights", cn_extras=6),
        node(14, "ACN_AdvancedControlNetApply_v2", [1, 0, 1], positive=3, negative=3, control_net=4, image=1,
             mask_optional=None, weights_override=7),
        node(15, "TimestepKeyframe", [0.2, 1, 0, True, 1], cn_weights=7),
        node(16, "Note"),
    ],
    "links": [
        [1, 1, 0, 3, 0, "IMAGE"], [2, 1, 1, 10, 1, "MASK"], [3, 2, 0, 14, 0, "CONDITIONING"],
        [4, 11, 0, 14, 2, "CONTROL_NET"], [5, 8, 1, 9, 0, "POSE_KEYPOINT"], [6, 12, 0, 13, 0, "CN_WEIGHTS_EXTRAS"],
        [7, 13, 0, 14, 7, "CONTROL_NET_WEIGHTS"],
    ],
}  # fmt: skip


def test_a_saved_workflow_is_valid():
    assert types_of(SAVED) - set(ROWS) == {"LoadImage", "CLIPTextEncode"}
    assert refusals(SAVED, ROWS) == []


@pytest.mark.parametrize(
    ("place", "values", "link"),
    [(2, ["80", 300, 512], None), (7, ["on"], None), (8, ["PoseKeypoint"], [5, 8, 0, 9, 0, "IMAGE"])],
    ids=["number", "choice", "wire"],
)
def test_what_does_not_fit_is_refused(place, values, link):
    saved = copy.deepcopy(SAVED)
    saved["nodes"][place]["widgets_values"] = values
    if link is not None:
        saved["links"][4] = link
    assert {line.partition(":")[0] for line in refusals(saved, ROWS)} == {saved["nodes"][place]["type"]}


def check_examples(folder, own):
    """own: what ids of the pack's nodes contain."""
    found = list(workflows_in(folder))
    for name, workflow in found:
        unknown = {kind for kind in types_of(workflow) - set(ROWS) if any(part in kind for part in own)}
        assert unknown <= WITHOUT, name
        assert refusals(workflow, ROWS) == [], name
    return len(found)


def test_examples_of_controlnet_aux():
    assert check_examples(pack_directory("AUX_DIR"), ("Preprocessor", "PoseKps", "Resolution")) >= 3


def test_examples_of_advanced_controlnet():
    assert check_examples(pack_directory("ACN_DIR"), ("ACN_", "Keyframe", "ControlNetWeights")) >= 8
