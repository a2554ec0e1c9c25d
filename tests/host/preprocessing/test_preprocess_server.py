"""A preprocessor's network in a real server: loaded once, cancelled while it runs, ended when the models are freed."""

import json
from collections.abc import Iterator

import pytest
import torch
from safetensors.torch import save_file
from support.random_nodes import random_image
from zeroconv.comfy_client.server import ComfyServer, Interrupted, PromptError
from zeroconv.comfy_client.workflow import Output, Workflow
from zeroconv.preprocessors.networks.hed import HED

LOADED = "Requested to load HED"


@pytest.fixture
def hed(server: ComfyServer) -> Iterator[ComfyServer]:
    """The server with HED of random weights, and no network loaded before or after."""
    generator = torch.Generator().manual_seed(0)
    weights = {key: torch.randn(value.shape, generator=generator) * 0.05 for key, value in HED().state_dict().items()}
    file = server.base / "models" / "preprocessors" / "ControlNetHED.safetensors"
    save_file(weights, file)
    server.free()
    yield server
    file.unlink()
    server.free()


def soft_edges(side: int, seed: int) -> Workflow:
    workflow = Workflow()
    image = random_image(workflow, side, side, seed=seed)
    settings = {"resolution": 0, "safe": False, "result_size": "processing"}
    workflow.save_image(Output(workflow.add("ZeroConvHed", image=image, **settings), 0))
    return workflow


def test_freed_models_are_loaded_again_and_no_others(hed: ComfyServer) -> None:
    start = len(hed.log())

    def loads() -> int:
        return hed.log()[start:].count(LOADED)

    for seed in range(3):
        hed.queue(soft_edges(64, seed).to_api())
    assert loads() == 1
    hed.free()
    for seed in range(3, 5):
        hed.queue(soft_edges(64, seed).to_api())
    assert loads() == 2


def test_cancel_reaches_a_network_that_runs(hed: ComfyServer) -> None:
    """One picture of 16 megapixels takes minutes on a CPU; the button ends it in the middle of the network."""
    start = len(hed.log())
    prompt = hed.submit(soft_edges(4096, 9).to_api())
    hed.wait_for_log(LOADED, start)
    hed.interrupt()
    with pytest.raises(Interrupted):
        hed.result(prompt, timeout=100)
    hed.queue(soft_edges(64, 10).to_api())


def long_stroke() -> Workflow:
    """One stroke from corner to corner and back, 200 times: most of a minute's work."""
    points = [value for number in range(200) for value in ((0, 0) if number % 2 else (2048, 2048))]
    stroke = {"tool": "pen", "color": "#ffffff", "size": 512, "points": points}
    drawing = json.dumps({"version": 1, "width": 2048, "height": 2048, "strokes": [stroke]})
    workflow = Workflow()
    workflow.save_image(Output(workflow.add("ZeroConvSketch", drawing=drawing), 0))
    return workflow


def test_cancel_reaches_the_middle_of_a_stroke(server: ComfyServer) -> None:
    prompt = server.submit(long_stroke().to_api())
    while not server.get("/queue")["queue_running"]:
        assert server.alive()
    server.interrupt()
    with pytest.raises(Interrupted):
        server.result(prompt, timeout=100)


def test_a_choice_that_does_not_exist_is_told_to_who_queued_it(server: ComfyServer) -> None:
    workflow = Workflow()
    image = random_image(workflow, 64, 64)
    hint = workflow.add("ZeroConvThreshold", image=image, resolution=0, threshold=9, measure="x", result_size="input")
    workflow.save_image(Output(hint, 0))
    with pytest.raises(PromptError, match="measure"):
        server.queue(workflow.to_api())


def test_a_node_wired_to_depth_that_is_not_there_does_not_run(server: ComfyServer) -> None:
    """The rest of the workflow does; the front end shows the reason at the node that was wired to it."""
    workflow = Workflow()
    image = random_image(workflow, 64, 64, seed=0)
    settings = {"resolution": 0, "method": "canny", "result_size": "processing", "compare": False, "settings": ""}
    node = workflow.add("ZeroConvPreprocess", image=image, **settings)
    saved = workflow.save_image(Output(node, 0))
    waiting = workflow.save_image(Output(workflow.add("MaskToImage", mask=Output(node, 2)), 0))
    outputs = server.queue(workflow.to_api()).outputs
    assert outputs[saved]["images"]
    assert waiting not in outputs
