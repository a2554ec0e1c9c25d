"""Train a ControlNet: a dataset, the training, its finer options. What trains is imported by the nodes that do."""

from typing import TYPE_CHECKING, Any

import torch
from comfy_api.latest import io, ui

from ..host.loading.load import list_controlnets
from ..host.training.choices import FROM_DATASET, NEW, list_folders
from ..preprocessors.catalogue import preprocessors
from .compat import schema

if TYPE_CHECKING:
    from ..host.training.train import Source

DATASET = io.Custom("ZEROCONV_DATASET")
OPTIONS = io.Custom("ZEROCONV_TRAINING_OPTIONS")
CATEGORY = "ZeroConv/train"


def _shared_inputs(given: str) -> list[io.Input]:
    return [
        io.Int.Input(
            "resolution",
            default=512,
            min=64,
            max=2048,
            step=64,
            tooltip="Side of a square picture. Others keep their shape, at about as many pixels.",
        ),
        io.Boolean.Input("flip", default=False, tooltip="Show each pair mirrored as well: twice the samples."),
        io.Combo.Input(
            "hints",
            options=[FROM_DATASET, *preprocessors()],
            default=FROM_DATASET,
            tooltip=f"{given}, or a preprocessor that makes them from the pictures, which also measures adherence.",
        ),
    ]


class ZeroConvTrainingFolder(io.ComfyNode):
    """A dataset in a folder of ComfyUI's input folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvTrainingFolder",
            display_name="Training Pairs from Folder",
            category=CATEGORY,
            description=(
                "Pairs of picture and hint with prompts from a subfolder of the input folder: prompt.json (fill50k), "
                "metadata.jsonl (diffusers), or pictures, a folder 'conditioning_data' with hints of the same names, "
                "and .txt prompts."
            ),
            search_aliases=["dataset", "training data", "fill50k", "kohya"],
            inputs=[
                io.Combo.Input("folder", options=list_folders(), tooltip="A subfolder of ComfyUI's input folder."),
                *_shared_inputs("Those of the folder"),
            ],
            outputs=[DATASET.Output(display_name="dataset", tooltip="For Train ControlNet.")],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> float:
        """Never the same: the folder is read each time."""
        return float("nan")

    @classmethod
    def execute(cls, folder: str, resolution: int, flip: bool, hints: str) -> io.NodeOutput:
        from ..host.training.train import source_of_folder
        from ..training.recorder import summary

        source = source_of_folder(folder, resolution, flip, hints)
        return io.NodeOutput(source, ui=ui.PreviewText(summary(source.problems, len(source.pairs))))


class ZeroConvTrainingImages(io.ComfyNode):
    """A dataset of images on the canvas."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvTrainingImages",
            display_name="Training Pairs from Images",
            category=CATEGORY,
            description="Pairs of picture and hint from image batches, with prompts.",
            search_aliases=["dataset", "training data"],
            inputs=[
                io.Image.Input("targets", tooltip="The pictures that the ControlNet shall learn to make."),
                io.String.Input(
                    "prompts", default="", multiline=True, tooltip="A line for each picture in order, or one for all."
                ),
                *_shared_inputs("The image batch 'hint_images'"),
                io.Image.Input("hint_images", optional=True, tooltip="A hint for each picture, in the same order."),
            ],
            outputs=[DATASET.Output(display_name="dataset", tooltip="For Train ControlNet.")],
        )

    @classmethod
    def execute(
        cls,
        targets: torch.Tensor,
        prompts: str,
        resolution: int,
        flip: bool,
        hints: str,
        hint_images: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        from ..host.training.train import hint_maker, source_of_images
        from ..training.dataset import Preparation

        maker = hint_maker(hints)
        images = None if maker else hint_images
        return io.NodeOutput(source_of_images(targets, images, prompts, Preparation(resolution, flip, maker)))


class ZeroConvTrainingOptions(io.ComfyNode):
    """The finer options of a training."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        share = {"default": 0.0, "min": 0.0, "max": 1.0, "step": 0.01}
        return schema(
            node_id="ZeroConvTrainingOptions",
            display_name="Training Options",
            category=CATEGORY,
            description="What is seldom changed. Without this node the training is that of the paper.",
            search_aliases=["ema", "min snr", "noise offset"],
            inputs=[
                io.Float.Input("average", **{**share, "max": 0.9999, "step": 0.0001}, tooltip=TOOLTIPS["average"]),
                io.Int.Input("warmup", default=0, min=0, max=100000, tooltip=TOOLTIPS["warmup"]),
                io.Float.Input("weight_decay", **{**share, "default": 0.01}, tooltip=TOOLTIPS["weight_decay"]),
                io.Float.Input("clip", **{**share, "default": 1.0, "max": 100.0}, tooltip=TOOLTIPS["clip"]),
                io.Boolean.Input("only_middle", default=False, tooltip=TOOLTIPS["only_middle"]),
                io.Float.Input("hint_dropout", **share, tooltip=TOOLTIPS["hint_dropout"]),
                io.Float.Input("noise_offset", **share, tooltip=TOOLTIPS["noise_offset"]),
                io.Combo.Input("weighting", options=["uniform", "min_snr", "velocity"], tooltip=TOOLTIPS["weighting"]),
                io.Float.Input("limit", default=5.0, min=0.1, max=1000.0, step=0.1, tooltip=TOOLTIPS["limit"]),
            ],
            outputs=[OPTIONS.Output(display_name="options", tooltip="For Train ControlNet.")],
        )

    @classmethod
    def execute(cls, **options: Any) -> io.NodeOutput:
        return io.NodeOutput(options)


TOOLTIPS = {
    "average": "Decay of averaged (EMA) weights, such as 0.999; they sample more steadily. 0: none.",
    "warmup": "Steps over which the learning rate rises.",
    "weight_decay": "Weight decay of AdamW.",
    "clip": "Longest gradient; longer ones are shortened. 0: any length.",
    "only_middle": "Train only the middle's residual: weaker, global control.",
    "hint_dropout": "Share of samples with a black hint.",
    "noise_offset": "About 0.05 lets the brightness of pictures vary.",
    "weighting": "How noise levels count: equally (paper), min-SNR, or as the error of the velocity.",
    "limit": "Gamma of min_snr; the largest weight of velocity.",
}
OBJECTIVE = ("hint_dropout", "noise_offset", "weighting", "limit")


class ZeroConvTrain(io.ComfyNode):
    """Train a ControlNet from the base model, and use it at once."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvTrain",
            display_name="Train ControlNet",
            category=CATEGORY,
            description=(
                "Trains a new ControlNet for this model and saves it in models/controlnet. Obedience comes suddenly, "
                "after some thousand steps: watch the samples, not the loss. Cancel saves; queue again to go on."
            ),
            search_aliases=["training", "fine-tune", "learn"],
            is_output_node=True,
            inputs=[
                io.Model.Input("model", tooltip="The base model, SD1.5, SD2.x or SDXL. It is not changed."),
                io.Clip.Input("clip", tooltip="The base model's text encoder."),
                io.Vae.Input("vae", tooltip="The base model's autoencoder."),
                DATASET.Input("dataset", tooltip="From one of the Training Pairs nodes."),
                io.String.Input("name", default="my-controlnet", tooltip="Name of the new file, without ending."),
                io.Int.Input("steps", default=5000, min=1, max=1000000, tooltip="Optimiser steps in all."),
                io.Int.Input("batch", default=4, min=1, max=256, tooltip="Samples at once: memory."),
                io.Int.Input(
                    "accumulation",
                    default=1,
                    min=1,
                    max=256,
                    tooltip="Batches to a step: as a larger batch, but slower.",
                ),
                io.Float.Input(
                    "learning_rate",
                    default=1e-5,
                    min=1e-8,
                    max=1.0,
                    step=1e-8,
                    round=False,
                    tooltip="Of AdamW; the paper's is 0.00001. Small networks and large batches bear more.",
                ),
                io.Combo.Input(
                    "precision",
                    options=["bfloat16", "float16", "float32"],
                    tooltip="Of the computation; the trained weights are float32 always.",
                ),
                io.Boolean.Input(
                    "gradient_checkpointing", default=True, tooltip="Compute twice instead of keeping: less memory."
                ),
                io.Combo.Input(
                    "optimiser",
                    options=["adamw", "adamw8bit", "paged_adamw8bit"],
                    tooltip="The 8-bit ones take a quarter of the memory, and need the package bitsandbytes.",
                ),
                io.Float.Input(
                    "empty_prompts",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Share of samples without prompt, so that the hint must tell (paper: 0.5).",
                ),
                io.Int.Input("save_every", default=500, min=0, max=1000000, tooltip="Steps; 0: only at the end."),
                io.Int.Input("sample_every", default=100, min=0, max=1000000, tooltip="Steps; 0: only at the end."),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=2**63 - 1,
                    control_after_generate=False,
                    tooltip="Of noise, order and samples; a training goes on with its own.",
                ),
                io.Boolean.Input(
                    "resume", default=True, tooltip="Go on with the training of this name, if there is one."
                ),
                io.Combo.Input(
                    "start", options=[NEW, *list_controlnets()], tooltip="A ControlNet to continue from, as a new one."
                ),
                io.String.Input("licence", default="", tooltip="Written into the file, such as CC-BY-4.0."),
                OPTIONS.Input("options", optional=True, tooltip="From Training Options."),
            ],
            outputs=[
                io.ControlNet.Output(tooltip="The new ControlNet, for Apply ControlNet."),
                io.Image.Output(display_name="samples", tooltip="Hint, sample with control, same seed without."),
                io.Image.Output(display_name="curves", tooltip="Loss, and adherence to the hint."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        clip: Any,
        vae: Any,
        dataset: "Source",
        name: str,
        resume: bool,
        start: str,
        licence: str,
        empty_prompts: float,
        options: dict[str, Any] | None = None,
        **settings: Any,
    ) -> io.NodeOutput:
        from ..host.training.train import Job, train_controlnet
        from ..training.objective import Objective
        from ..training.settings import Settings

        options = options or {}
        objective = Objective(empty_prompts, **{key: options[key] for key in OBJECTIVE if key in options})
        rest = {key: value for key, value in options.items() if key not in OBJECTIVE}
        job = Job(name, Settings(objective=objective, **settings, **rest), start, resume, licence)
        trained = train_controlnet((model, clip, vae), dataset, job)
        return io.NodeOutput(trained.control, trained.strip, trained.curves, ui=ui.PreviewImage(trained.strip, cls=cls))


NODES = [ZeroConvTrainingFolder, ZeroConvTrainingImages, ZeroConvTrain, ZeroConvTrainingOptions]
