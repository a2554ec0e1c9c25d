"""Fewer runs, reports and differences through a real server, and a cancelled sampling that leaves nothing behind."""

import pytest
from safetensors.torch import load_file
from support.measures import relative_error
from zeroconv.comfy_client.server import ComfyServer, Interrupted, PromptError
from zeroconv.comfy_client.workflow import ControlNet, Output, Prompts, Sampling, Workflow

from ..conftest import Scene, Stage

STEPS = 4
LONG = Sampling(steps=400)


def fewer(flow: Workflow, net: ControlNet, every: int) -> ControlNet:
    node = flow.add("ZeroConvFewerRuns", control_net=net, method="every n-th step", every_n_steps=every, tolerance=0.2)
    return ControlNet(node, 0)


def test_runs_are_saved_told_and_shown(server: ComfyServer) -> None:
    stage = Stage(Scene())
    flow = stage.workflow
    plain = flow.load_control("sd15-1.safetensors")
    nets = (plain, fewer(flow, plain, 1), ControlNet(flow.add("ZeroConvRecord", control_net=fewer(flow, plain, 2)), 0))
    chains = [flow.apply(stage.prompts, net, stage.images[0]) for net in nets]
    latents = [flow.sample(stage.model, prompts, stage.latent, stage.scene.sampling) for prompts in chains]
    report = flow.add("ZeroConvReport", conditioning=chains[2].positive, latent=latents[2])
    difference = flow.add("ZeroConvDifference", first=latents[0], second=latents[2], gain=0.0)
    same = flow.add("ZeroConvDifference", first=latents[0], second=latents[1], gain=0.0)
    images = flow.add("ZeroConvDifference", first=stage.images[0], second=stage.images[1], gain=1.0)
    preview = preview_steps(stage, chains[2])
    texts = [flow.add("PreviewAny", source=Output(node, 1)) for node in (report, difference, same, images, preview)]
    saved = [flow.save_latent(latent) for latent in latents]
    result = server.queue(flow.to_api())

    exact, every, second = (load_file(result.files(node)[0])["latent_tensor"] for node in saved)
    assert (exact == every).all()
    assert 1e-6 < relative_error(second, exact) < 0.5
    told, apart, equal, pictures, planned = (result.outputs[node]["text"][0] for node in texts)
    assert told.splitlines()[0] == "1. sd15-1: ran 2 times, 2 runs saved"
    assert told.splitlines()[-1].startswith("middle: ")
    assert apart.startswith("PSNR")
    assert equal == "equal, mean difference 0, greatest 0"
    assert pictures.startswith("PSNR")
    assert planned == "1. sd15-1: runs 2 of 4 steps: 1 (1) 1 (1); runs every 2 steps"
    assert all(len(result.outputs[node]["images"]) == 1 for node in (report, difference, preview))


def preview_steps(stage: Stage, prompts: Prompts) -> str:
    return stage.workflow.add(
        "ZeroConvPreviewSteps",
        model=stage.model,
        conditioning=prompts.positive,
        steps=STEPS,
        sampler_name="euler",
        scheduler="normal",
        denoise=1.0,
        start_at_step=0,
        end_at_step=10000,
        latent=stage.latent,
    )


def test_an_image_and_a_latent_are_refused(server: ComfyServer) -> None:
    stage = Stage(Scene())
    stage.workflow.add("ZeroConvDifference", first=stage.images[0], second=stage.latent, gain=0.0)
    with pytest.raises(PromptError, match="One is an image and the other a latent"):
        server.queue(stage.workflow.to_api())


def test_areas_through_the_server(server: ComfyServer) -> None:
    """A hint whose lower half alone lies in the area: equal to that half laid over the area by ComfyUI's rule."""
    stage = Stage(Scene(height=128))
    flow = stage.workflow
    net = flow.load_control("sd15-1.safetensors")
    fit = {"fit": "crop", "resampling": "nearest", "hint_order": "one each"}
    own = ControlNet(flow.add("ZeroConvFitHint", control_net=net, areas="cropped hint", **fit), 0)
    half = Output(flow.add("ImageCrop", image=stage.images[0], width=64, height=64, x=0, y=64), 0)
    sides = [
        Output(flow.add("ConditioningSetArea", conditioning=side, width=64, height=64, x=0, y=64, strength=1.0), 0)
        for side in stage.prompts
    ]
    prompts = Prompts(*sides)  # pyright: ignore[reportArgumentType]
    chains = [flow.apply(prompts, own, stage.images[0]), flow.apply(prompts, net, half)]  # pyright: ignore[reportArgumentType]
    chains.append(flow.apply(prompts, net, stage.images[0]))
    saved = [stage.save(chain) for chain in chains]
    result = server.queue(flow.to_api())
    cut, by_hand, squeezed = (load_file(result.files(node)[0])["latent_tensor"] for node in saved)
    assert relative_error(cut, by_hand) <= 1e-6
    assert relative_error(squeezed, by_hand) > 1e-5


def test_a_cancelled_sampling_leaves_nothing_allocated(server: ComfyServer) -> None:
    stage = Stage(Scene(width=128, height=128, sampling=LONG))
    flow = stage.workflow
    net = fewer(flow, flow.load_control("sd15-1.safetensors"), 3)
    chain = flow.apply(stage.prompts, net, stage.images[0])
    short = flow.sample(stage.model, chain, stage.latent, Sampling(steps=STEPS))
    first = flow.save_latent(short)
    expected = load_file(server.queue(flow.to_api()).files(first)[0])["latent_tensor"]
    before = allocated(server, flow, 1)

    cancelled = stage.save(chain)
    start = len(server.log())
    prompt = server.submit(flow.to_api())
    server.wait_for_log(r"\b3/400 ", start)
    server.interrupt()
    with pytest.raises(Interrupted):
        server.result(prompt)
    kept = allocated(server, flow, 2) - before
    assert kept < 50_000, "the prompt's keys and values alone are more than a million bytes"

    next_one = flow.sample(stage.model, chain, stage.latent, Sampling(steps=STEPS))
    saved = flow.save_latent(next_one)
    graph = {node: content for node, content in flow.to_api().items() if node != cancelled}
    result = load_file(server.queue(graph).files(saved)[0])["latent_tensor"]
    assert relative_error(result, expected) <= 1e-6


def allocated(server: ComfyServer, flow: Workflow, nonce: int) -> int:
    """Bytes of all tensors that the server holds now, with the controls of the graph still in its cache."""
    graph = {n: node for n, node in flow.to_api().items() if node["class_type"] not in ("KSampler", "SaveLatent")}
    graph["bytes"] = {"class_type": "AllocatedBytes", "inputs": {"nonce": nonce}}
    graph["shown"] = {"class_type": "PreviewAny", "inputs": {"source": ["bytes", 0]}}
    return int(server.queue(graph).outputs["shown"]["text"][0])
