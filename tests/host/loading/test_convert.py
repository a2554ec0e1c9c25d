"""The Convert node on a real server: files that our loader and core's read, and errors before anything is written."""

import pytest
from safetensors.torch import load_file
from support.measures import relative_error
from support.random_nodes import random_image, random_prompts
from zeroconv.comfy_client.server import ComfyServer, PromptError
from zeroconv.comfy_client.workflow import Control, ControlNet, Model, Output, Sampling, Workflow

SOURCE, SIDE = "sd15-1.safetensors", 64


def convert(server: ComfyServer, name: str, model: str | None = None, **values: object) -> str:
    """Run the node; returns its report."""
    flow = Workflow()
    widgets = {"layout": "ldm", "dtype": "as stored", "lora_rank": 0, **values}
    wired: dict[str, Output] = {} if model is None else {"model": flow.load_model(model)}
    node = flow.add("ZeroConvConvert", control_net=SOURCE, name=name, **widgets, **wired)
    return server.queue(flow.to_api(), timeout=400).outputs[node]["text"][0]


def latent(server: ComfyServer, file: str, with_model: bool = False, core: bool = False):
    """A sampling of two steps with the file."""
    flow = Workflow()
    model: Model = flow.load_model("sd15.safetensors")
    prompts, hint = random_prompts(flow, 768), random_image(flow, SIDE, SIDE)
    if core:
        prompts = flow.apply_core(prompts, flow.load_control_core(file), hint, Control())
    else:
        net: ControlNet = flow.load_control(file, model) if with_model else flow.load_control(file)
        prompts = flow.apply(prompts, net, hint, Control())
    sampled = flow.sample(model, prompts, flow.empty_latent(SIDE, SIDE), Sampling(steps=2))
    saved = flow.save_latent(sampled)
    return load_file(server.queue(flow.to_api(), timeout=200).files(saved)[0])["latent_tensor"]


@pytest.fixture(scope="module")
def original(server: ComfyServer):
    return latent(server, SOURCE)


def test_diffusers_keys_give_the_same_picture_in_both_loaders(server: ComfyServer, original) -> None:
    report = convert(server, "as-diffusers", layout="diffusers")
    assert "as-diffusers.safetensors" in report
    keys = load_file(server.base / "models" / "controlnet" / "as-diffusers.safetensors").keys()
    assert "controlnet_cond_embedding.conv_in.weight" in keys
    assert relative_error(latent(server, "as-diffusers.safetensors"), original) <= 1e-6


def test_half_the_bytes_and_nearly_the_same_picture(server: ComfyServer, original) -> None:
    convert(server, "half", dtype="fp16")
    folder = server.base / "models" / "controlnet"
    assert (folder / "half.safetensors").stat().st_size < 0.51 * (folder / SOURCE).stat().st_size
    assert 0 < relative_error(latent(server, "half.safetensors"), original) <= 1e-2


def test_a_control_lora_of_full_rank_is_the_control_in_both_loaders(server: ComfyServer, original) -> None:
    report = convert(server, "lora", model="sd15.safetensors", lora_rank=2048)
    assert "keeps 100.0%" in report
    assert relative_error(latent(server, "lora.safetensors", with_model=True), original) <= 1e-2
    assert relative_error(latent(server, "lora.safetensors", core=True), original) <= 1e-2


def test_mistakes_are_told_and_nothing_is_written(server: ComfyServer) -> None:
    folder = server.base / "models" / "controlnet"
    before = {path: path.stat().st_mtime for path in folder.iterdir()}
    for values, message in (
        ({"name": "x", "lora_rank": 4}, "base model"),
        ({"name": "../x"}, "not a good name"),
        ({"name": SOURCE.removesuffix(".safetensors")}, "exists already"),
    ):
        with pytest.raises(PromptError, match=message):
            convert(server, **values)
    with pytest.raises(PromptError, match="does not fit"):
        convert(server, "x", model="sd20.safetensors", lora_rank=4)
    assert {path: path.stat().st_mtime for path in folder.iterdir()} == before
