"""Files as they lie on real disks, in a running ComfyUI: odd names, overwritten and cut files, damaged weights."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.checkpoints import SD15, controlnet_shapes, random_weights
from support.random_nodes import random_image
from zeroconv.benchmarks.models.official_weights import random_state_dict
from zeroconv.comfy_client.server import ComfyServer, PromptError
from zeroconv.comfy_client.workflow import Output, Workflow

NOT_UNICODE = os.fsdecode(b"\xff.safetensors")


@pytest.fixture
def controls(server: ComfyServer) -> Iterator[Path]:
    """The server's `controlnet` folder; what a test adds to it is removed."""
    folder = server.base / "models" / "controlnet"
    before = set(os.listdir(folder))
    yield folder
    for name in set(os.listdir(folder)) - before:
        (folder / name).unlink()


def small_control() -> dict[str, torch.Tensor]:
    return random_weights(controlnet_shapes(replace(SD15, channels=32)), 1, torch.float16)


def inspect(server: ComfyServer, name: str) -> str:
    workflow = Workflow()
    node = workflow.add("ZeroConvInspect", control_net=name)
    workflow.add("PreviewAny", source=Output(node, 0))
    return str(server.queue(workflow.to_api()).outputs)


def check_that_prompts_run(server: ComfyServer) -> None:
    workflow = Workflow()
    workflow.save_latent(workflow.empty_latent(64, 64))
    server.queue(workflow.to_api())


@pytest.mark.skipif(os.name != "posix", reason="names are Unicode there")
@pytest.mark.parametrize("good", [True, False])
def test_a_name_that_is_not_unicode_does_not_end_the_queue(server: ComfyServer, controls: Path, good: bool) -> None:
    save_file(small_control(), controls / "plain.safetensors")
    (controls / "plain.safetensors").rename(controls / NOT_UNICODE)
    if good:
        assert "SD1.5" in inspect(server, NOT_UNICODE)
    else:
        os.truncate(controls / NOT_UNICODE, 1000)
        with pytest.raises(PromptError, match=r"'\\udcff.safetensors' is damaged"):
            inspect(server, NOT_UNICODE)
    check_that_prompts_run(server)


def test_half_a_character_in_a_text_does_not_end_the_queue(server: ComfyServer) -> None:
    workflow = Workflow()
    workflow.add(
        "PreviewAny", source=Output(workflow.add("ZeroConvSchedule", keyframes="0: \udcff", counting="steps"), 0)
    )
    with pytest.raises(PromptError):
        server.queue(workflow.to_api())
    check_that_prompts_run(server)


def test_nan_in_the_weights_is_told_by_the_nodes(server: ComfyServer, controls: Path) -> None:
    weights = small_control()
    weights["zero_convs.3.0.weight"][0] = float("nan")
    save_file(weights, controls / "nan.safetensors")
    assert "DAMAGED: 1 of its tensors hold NaN" in inspect(server, "nan.safetensors")
    workflow = Workflow()
    workflow.add("PreviewAny", source=Output(workflow.add("ZeroConvLoad", control_net="nan.safetensors"), 0))
    with pytest.raises(PromptError, match=r"'nan.safetensors' cannot be used. 1 of its tensors hold NaN"):
        server.queue(workflow.to_api())


def mapped_models(server: ComfyServer) -> list[str]:
    """Files of ControlNets and preprocessors that the server has mapped."""
    maps = Path(f"/proc/{server.process_id()}/maps")
    if not maps.exists():
        pytest.skip("only Linux lists what is mapped")
    folders = [str(server.base / "models" / name) for name in ("controlnet", "preprocessors")]
    return [line for line in maps.read_text(encoding="utf-8").splitlines() if any(folder in line for folder in folders)]


def test_weights_that_are_cut_while_loaded_change_nothing(server: ComfyServer) -> None:
    """Mapped weights would end the server with SIGBUS here."""
    weights = server.base / "models" / "preprocessors" / "7_model.safetensors"
    save_file(random_state_dict("teed"), weights)

    def run(seed: int) -> bytes:
        workflow = Workflow()
        image = random_image(workflow, 64, 64, seed=seed)
        node = workflow.add("ZeroConvTeed", image=image, resolution=0, safe_steps=2, result_size="processing")
        saved = workflow.save_image(Output(node, 0))
        return server.queue(workflow.to_api()).files(saved)[0].read_bytes()

    try:
        before = run(1)
        run(2)
        assert mapped_models(server) == []
        os.truncate(weights, 1000)
        run(3)
        assert run(1) == before
        assert server.alive()
    finally:
        weights.unlink()
        server.free()
