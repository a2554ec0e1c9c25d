"""Stand-ins in a real server: other packs' nodes run by their ids, and none of a pack that is there is taken."""

import torch
from safetensors.torch import load_file
from support.random_nodes import random_image
from zeroconv.comfy_client.server import ComfyServer
from zeroconv.comfy_client.workflow import Output, Workflow

from ..conftest import Scene, Stage


def test_they_are_registered_and_hidden(server: ComfyServer) -> None:
    nodes = server.object_info()
    for name in ("CannyEdgePreprocessor", "InpaintPreprocessor", "AIO_Preprocessor", "ACN_AdvancedControlNetApply_v2"):
        assert nodes[name]["deprecated"], name
        assert nodes[name]["python_module"] == nodes["ZeroConvLoad"]["python_module"]


def test_a_pack_that_is_loaded_after_ours_keeps_its_node(server: ComfyServer) -> None:
    """The test pack has a node of this id; ComfyUI loads packs in the order of their folders."""
    assert server.object_info()["ControlNetAuxSimpleAddText"]["category"] == "tests"


def test_a_prompt_without_optional_inputs_runs(server: ComfyServer) -> None:
    workflow = Workflow()
    image = random_image(workflow, 64, 64, seed=3)
    shown = [workflow.add("CannyEdgePreprocessor", image=image)]
    shown.append(workflow.add("AIO_Preprocessor", image=image, preprocessor="BinaryPreprocessor", resolution=64))
    name = workflow.add("ControlNetPreprocessorSelector", preprocessor="ScribblePreprocessor")
    shown.append(workflow.add("AIO_Preprocessor", image=image, preprocessor=Output(name, 0)))
    saved = [workflow.save_image(Output(node, 0)) for node in shown]
    result = server.queue(workflow.to_api())
    assert all(result.files(node) for node in saved)


def test_an_advanced_workflow_is_the_same_as_ours(server: ComfyServer) -> None:
    """Their loader, weights, keyframe and Apply, and our nodes that mean the same."""
    stage = Stage(Scene())
    workflow, image = stage.workflow, stage.images[0]
    file = f"{stage.scene.family}-1.safetensors"
    theirs = workflow.add("ACN_ControlNetLoaderAdvanced", cnet=file)
    weights = workflow.add("ACN_ScaledSoftControlNetWeights", base_multiplier=0.7, uncond_multiplier=0.5)
    keyframe = workflow.add("TimestepKeyframe", start_percent=0.4, strength=0.5)
    common = {
        "positive": stage.prompts.positive, "negative": stage.prompts.negative, "image": image,
        "strength": 0.9, "start_percent": 0.0, "end_percent": 1.0,
    }  # fmt: skip
    applied = workflow.add(
        "ACN_AdvancedControlNetApply_v2", control_net=Output(theirs, 0), timestep_kf=Output(keyframe, 0),
        weights_override=Output(weights, 0), **common,
    )  # fmt: skip
    first = sampled(stage, applied)
    loaded = workflow.load_control(file)
    ours = workflow.add("ZeroConvCfgWeights", control_net=loaded, positive=1.0, negative=0.5)
    schedule = workflow.add("ZeroConvSchedule", keyframes="0: 1 hold, 0.4: 0.5 hold", counting="timesteps")
    blocks = workflow.add("ZeroConvSoftWeights", base=0.7, kind="whole depth")
    applied = workflow.add(
        "ZeroConvApply", control_net=Output(ours, 0), schedule=Output(schedule, 0), block_weights=Output(blocks, 0),
        **common,
    )  # fmt: skip
    second = sampled(stage, applied)
    result = server.queue(workflow.to_api())
    one, other = (load_file(result.files(node)[0])["latent_tensor"] for node in (first, second))
    assert torch.equal(one, other)


def sampled(stage: Stage, applied: str) -> str:
    return stage.save(type(stage.prompts)(Output(applied, 0), Output(applied, 1)))
