"""Graphs with two branches in one prompt: ComfyUI's own ControlNet and ours, from the same weights and noise.

And a folder for ControlNets that the loader in the test process reads.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.comfy_host import import_host
from support.random_nodes import random_image, random_prompts
from zeroconv.comfy_client.server import ComfyServer
from zeroconv.comfy_client.workflow import Control, Image, Latent, Model, Prompts, Sampling, Workflow

FULL = Control()
FOUR_STEPS = Sampling(steps=4)
WIDTHS = {"sd15": (768, 0), "sd20": (1024, 0), "sdxl": (2048, 1280)}


@dataclass(frozen=True)
class Link:
    """One ControlNet of a chain: which of the two generated ones, how much, and whose loader and node."""

    control: Control = FULL
    number: int = 1
    loader: str = "ours"
    node: str = "ours"
    image: int | None = None
    """Which of the two hints; None: the one of its number."""
    color: int | None = None
    """A hint of one color in its place, 0xRRGGBB."""


@dataclass(frozen=True)
class Scene:
    """What both branches of a comparison share."""

    family: str = "sd15"
    width: int = 64
    height: int = 64
    batch: int = 1
    hints: int = 1
    sampling: Sampling = FOUR_STEPS
    control: str | None = None
    """The ControlNets' kind, where it is not the family's name."""


class Stage:
    """A workflow with the shared nodes of a scene, to which branches are added."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.workflow = Workflow()
        width, pooled = WIDTHS[scene.family]
        self.model: Model = self.workflow.load_model(f"{scene.family}.safetensors")
        self.prompts: Prompts = random_prompts(self.workflow, width, pooled)
        self.latent: Latent = self.workflow.empty_latent(scene.width, scene.height, scene.batch)
        self.images: list[Image] = [
            random_image(self.workflow, scene.width, scene.height, scene.hints, seed=40 + number) for number in (1, 2)
        ]

    def chain(self, links: list[Link]) -> Prompts:
        """The prompts with every link applied, first to last."""
        prompts, workflow = self.prompts, self.workflow
        for link in links:
            load = workflow.load_control if link.loader == "ours" else workflow.load_control_core
            apply = workflow.apply if link.node == "ours" else workflow.apply_core
            net = load(f"{self.scene.control or self.scene.family}-{link.number}.safetensors")
            prompts = apply(prompts, net, self.image(link), link.control)
        return prompts

    def image(self, link: Link) -> Image:
        """The hint of a link."""
        if link.color is None:
            return self.images[(link.image or link.number) - 1]
        size = {"width": self.scene.width, "height": self.scene.height}
        return Image(self.workflow.add("EmptyImage", **size, batch_size=1, color=link.color), 0)

    def save(self, prompts: Prompts) -> str:
        """Sample with the scene's noise and save the latent; returns the saving node."""
        latent = self.workflow.sample(self.model, prompts, self.latent, self.scene.sampling)
        return self.workflow.save_latent(latent)


@pytest.fixture
def controlnet_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which ComfyUI, in the test process, looks for ControlNets."""
    import_host()
    import folder_paths

    monkeypatch.setitem(folder_paths.folder_names_and_paths, "controlnet", ([str(tmp_path)], {".safetensors", ".pth"}))
    monkeypatch.setattr(folder_paths, "filename_list_cache", {})
    return tmp_path


Compare = Callable[[Scene, list[list[Link]]], list[torch.Tensor]]


@pytest.fixture
def latents(server: ComfyServer) -> Compare:
    """Run all chains of one scene in one prompt: the latents, (B, 4, h, w) each, in the order given."""

    def run(scene: Scene, chains: list[list[Link]]) -> list[torch.Tensor]:
        stage = Stage(scene)
        saved = [stage.save(stage.chain(links)) for links in chains]
        result = server.queue(stage.workflow.to_api())
        return [load_file(result.files(node)[0])["latent_tensor"] for node in saved]

    return run
