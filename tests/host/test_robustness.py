"""What goes wrong at the canvas ends in a sentence that helps, and the server goes on working."""

import pickle
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from support.checkpoints import SD15_SMALL, controlnet
from support.measures import relative_error
from zeroconv.comfy_client.server import ComfyServer, Interrupted, PromptError
from zeroconv.comfy_client.workflow import Control, Sampling

from .conftest import Compare, Link, Scene, Stage

LONG = Sampling(steps=400)


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, evidence: Path) -> None:
        self.evidence = evidence

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.evidence), "w")


def run_with_file(server: ComfyServer, name: str) -> None:
    """Sample with a ControlNet file of the server's `controlnet` folder."""
    stage = Stage(Scene())
    net = stage.workflow.load_control(name)
    stage.save(stage.workflow.apply(stage.prompts, net, stage.images[0]))
    server.queue(stage.workflow.to_api())


def write_broken(folder: Path, kind: str) -> Path:
    """A file that is not a ControlNet, in one of the ways that occur."""
    path = folder / f"broken-{kind}"
    if kind == "empty.safetensors":
        path.write_bytes(b"")
    elif kind == "page.safetensors":
        path.write_text("<!DOCTYPE html><title>404: not found</title>", encoding="utf-8")
    elif kind == "truncated.safetensors":
        save_file({"zero_convs.0.0.weight": torch.zeros(320, 320, 1, 1)}, path)
        path.write_bytes(path.read_bytes()[:-1000])
    elif kind == "other.safetensors":
        save_file({"lora_up.weight": torch.zeros(4, 4)}, path)
    elif kind == "incomplete.safetensors":
        save_file({"zero_convs.0.0.weight": torch.zeros(320, 320, 1, 1)}, path)
    else:
        path.write_bytes(b"not a pickle")
    return path


@pytest.mark.parametrize(
    "kind",
    [
        "empty.safetensors",
        "page.safetensors",
        "truncated.safetensors",
        "other.safetensors",
        "incomplete.safetensors",
        "text.pth",
    ],
)
def test_broken_file_is_named_and_the_server_lives(server: ComfyServer, kind: str) -> None:
    path = write_broken(server.base / "models" / "controlnet", kind)
    with pytest.raises(PromptError, match=re.escape(path.name)):
        run_with_file(server, path.name)
    assert server.alive()


def test_code_in_a_pickle_is_not_run(server: ComfyServer) -> None:
    evidence = server.base / "evidence"
    path = server.base / "models" / "controlnet" / "trap.pth"
    path.write_bytes(pickle.dumps({"control_model.zero_convs.0.0.weight": Trap(evidence)}))
    with pytest.raises(PromptError, match=re.escape("trap.pth")):
        run_with_file(server, path.name)
    assert not evidence.exists()


def test_pickled_weights_give_the_same_latents(server: ComfyServer, latents: Compare) -> None:
    weights = {f"control_model.{key}": value for key, value in controlnet(SD15_SMALL, seed=21).items()}
    torch.save({"state_dict": weights}, server.base / "models" / "controlnet" / "sd15-3.pth")
    stage = Stage(Scene())
    net = stage.workflow.load_control("sd15-3.pth")
    saved = stage.save(stage.workflow.apply(stage.prompts, net, stage.images[0]))
    result = server.queue(stage.workflow.to_api())
    (reference,) = latents(Scene(), [[Link()]])
    assert relative_error(latent_of(result.files(saved)[0]), reference) <= 1e-5


@pytest.mark.parametrize(("family", "other"), [("sd15", "sd20"), ("sd20", "sdxl"), ("sdxl", "sd15")])
def test_wrong_family_is_told_before_the_first_step(server: ComfyServer, family: str, other: str) -> None:
    names = {"sd15": "SD1.5", "sd20": "SD2", "sdxl": "SDXL"}
    stage = Stage(Scene(family))
    net = stage.workflow.load_control(f"{other}-1.safetensors")
    stage.save(stage.workflow.apply(stage.prompts, net, stage.images[0]))
    start = len(server.log())
    with pytest.raises(PromptError) as error:
        server.queue(stage.workflow.to_api())
    assert names[family] in str(error.value)
    assert names[other] in str(error.value)
    assert not re.search(r"\b1/4 ", server.log()[start:])


def test_wrong_family_is_told_by_the_loader_that_knows_the_model(server: ComfyServer) -> None:
    stage = Stage(Scene("sd15"))
    net = stage.workflow.load_control("sdxl-1.safetensors", stage.model)
    stage.save(stage.workflow.apply(stage.prompts, net, stage.images[0]))
    with pytest.raises(PromptError, match=r"^ZeroConvLoad: .*SDXL"):
        server.queue(stage.workflow.to_api())


def test_start_after_end_is_refused(latents: Compare) -> None:
    with pytest.raises(PromptError, match=r"start_percent.*0\.7.*end_percent.*0\.2"):
        latents(Scene(), [[Link(Control(1.0, 0.7, 0.2))]])


def test_hint_batch_that_does_not_fit_is_refused(latents: Compare) -> None:
    with pytest.raises(PromptError, match=r"3 .*2 latents"):
        latents(Scene(batch=2, hints=3), [[Link()]])


def test_a_cancelled_run_leaves_nothing_behind(server: ComfyServer, latents: Compare) -> None:
    stage = Stage(Scene(sampling=LONG))
    stage.save(stage.chain([Link()]))
    start = len(server.log())
    prompt = server.submit(stage.workflow.to_api())
    server.wait_for_log(r"\b3/400 ", start)
    server.interrupt()
    with pytest.raises(Interrupted):
        server.result(prompt)
    # Another hint and another size than the cancelled run's: nothing kept from it may be used.
    link = Link(number=2)
    core = replace(link, loader="core", node="core")
    ours, reference = latents(Scene(width=72, height=56), [[link], [core]])
    assert relative_error(ours, reference) <= 1e-5


def test_a_second_sampler_reloads_nothing(server: ComfyServer) -> None:
    stage = Stage(Scene())
    prompts = stage.chain([Link()])
    stage.save(prompts)
    start = len(server.log())
    first = stage.workflow.sample(stage.model, prompts, stage.latent, Sampling(seed=8))
    stage.workflow.save_latent(first)
    server.queue(stage.workflow.to_api())
    loads = re.findall(r"Requested to load (\w+)", server.log()[start:])
    assert len(loads) == len(set(loads))


def latent_of(path: Path) -> torch.Tensor:
    """The latent that a SaveLatent node wrote, (B, 4, h, w)."""
    from safetensors.torch import load_file

    return load_file(path)["latent_tensor"]
