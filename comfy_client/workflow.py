"""Graphs in ComfyUI's API format, written as typed Python: a method is a node, its values are its sockets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

Value = Any
"""A node's input: a number, a text, a choice, or an `Output` of another node."""


@dataclass(frozen=True)
class Output:
    """One output socket of a node."""

    node: str
    index: int


class Model(Output): ...


class Clip(Output): ...


class Vae(Output): ...


class Conditioning(Output): ...


class Latent(Output): ...


class Image(Output): ...


class Mask(Output): ...


class ControlNet(Output): ...


class Checkpoint(NamedTuple):
    """The outputs of a checkpoint loader."""

    model: Model
    clip: Clip
    vae: Vae


class Prompts(NamedTuple):
    """The two conditionings of classifier-free guidance."""

    positive: Conditioning
    negative: Conditioning


@dataclass(frozen=True)
class Sampling:
    """The widgets of a KSampler."""

    seed: int = 7
    steps: int = 4
    cfg: float = 5.0
    sampler: str = "euler"
    scheduler: str = "normal"
    denoise: float = 1.0


@dataclass(frozen=True)
class Control:
    """How much control acts, and in which part of the sampling."""

    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0


class Workflow:
    """A graph under construction."""

    def __init__(self) -> None:
        self._nodes: dict[str, dict[str, Any]] = {}

    def add(self, class_type: str, **inputs: Value) -> str:
        """Append any node; a value that is an `Output` becomes a link, None is left out. Returns its id."""
        node = str(len(self._nodes) + 1)
        wired = {
            name: [value.node, value.index] if isinstance(value, Output) else value
            for name, value in inputs.items()
            if value is not None
        }
        self._nodes[node] = {"class_type": class_type, "inputs": wired}
        return node

    def to_api(self) -> dict[str, Any]:
        """The graph as POST /prompt takes it."""
        return {node: {**content, "inputs": dict(content["inputs"])} for node, content in self._nodes.items()}

    def load_checkpoint(self, name: str) -> Checkpoint:
        node = self.add("CheckpointLoaderSimple", ckpt_name=name)
        return Checkpoint(Model(node, 0), Clip(node, 1), Vae(node, 2))

    def load_model(self, name: str) -> Model:
        return Model(self.add("UNETLoader", unet_name=name, weight_dtype="default"), 0)

    def encode_prompt(self, clip: Clip, text: str) -> Conditioning:
        return Conditioning(self.add("CLIPTextEncode", clip=clip, text=text), 0)

    def empty_latent(self, width: int, height: int, batch: int = 1) -> Latent:
        return Latent(self.add("EmptyLatentImage", width=width, height=height, batch_size=batch), 0)

    def load_image(self, name: str) -> Image:
        return Image(self.add("LoadImage", image=name), 0)

    def canny(self, image: Image, resolution: int = 0, low: float = 100.0, high: float = 200.0) -> Image:
        values = {"image": image, "resolution": resolution, "low_threshold": low, "high_threshold": high}
        return Image(self.add("ZeroConvCanny", **values), 0)

    def load_control(self, name: str, model: Model | None = None) -> ControlNet:
        return ControlNet(self.add("ZeroConvLoad", control_net=name, model=model), 0)

    def load_control_core(self, name: str) -> ControlNet:
        return ControlNet(self.add("ControlNetLoader", control_net_name=name), 0)

    def apply(
        self, prompts: Prompts, net: ControlNet, image: Image, control: Control = Control(), **optional: Value
    ) -> Prompts:
        return self._apply("ZeroConvApply", prompts, net, image, control, **optional)

    def apply_core(
        self, prompts: Prompts, net: ControlNet, image: Image, control: Control = Control(), **optional: Value
    ) -> Prompts:
        return self._apply("ControlNetApplyAdvanced", prompts, net, image, control, **optional)

    def _apply(
        self, kind: str, prompts: Prompts, net: ControlNet, image: Image, control: Control, **optional: Value
    ) -> Prompts:
        node = self.add(
            kind,
            positive=prompts.positive,
            negative=prompts.negative,
            control_net=net,
            image=image,
            strength=control.strength,
            start_percent=control.start,
            end_percent=control.end,
            **optional,
        )
        return Prompts(Conditioning(node, 0), Conditioning(node, 1))

    def sample(self, model: Model, prompts: Prompts, latent: Latent, sampling: Sampling = Sampling()) -> Latent:
        node = self.add(
            "KSampler",
            model=model,
            positive=prompts.positive,
            negative=prompts.negative,
            latent_image=latent,
            seed=sampling.seed,
            steps=sampling.steps,
            cfg=sampling.cfg,
            sampler_name=sampling.sampler,
            scheduler=sampling.scheduler,
            denoise=sampling.denoise,
        )
        return Latent(node, 0)

    def decode(self, vae: Vae, latent: Latent) -> Image:
        return Image(self.add("VAEDecode", vae=vae, samples=latent), 0)

    def save_latent(self, latent: Latent) -> str:
        """Save to the output folder; returns the node id, by which the result is found."""
        return self.add("SaveLatent", samples=latent, filename_prefix="latent")

    def save_image(self, image: Image) -> str:
        """Save to the output folder; returns the node id, by which the result is found."""
        return self.add("SaveImage", images=image, filename_prefix="image")
