"""Train a ControlNet: the pairs, the training and its options. What trains is imported when the Train node runs."""

from typing import Any

import torch
from comfy_api.latest import io, ui

from ..host.loading.load import list_controlnets
from ..host.training.pairs import (
    FROM_DATASET,
    hint_maker,
    list_folders,
    source_of_images,
    source_of_input_folder,
)
from ..preprocessors.catalogue import preprocessors
from ..training.dataset import Preparation, TrainingSource
from .compat import schema

DATASET = io.Custom("ZEROCONV_DATASET")
OPTIONS = io.Custom("ZEROCONV_TRAINING_OPTIONS")
CATEGORY = "ZeroConv/train"
NEW = "none: a new one"
"""Choice of a ControlNet to continue from: none."""


def _shared_inputs(given: str) -> list[io.Input]:
    return [
        io.Int.Input(
            "resolution",
            default=512,
            min=64,
            max=2048,
            step=64,
            tooltip="Side of a square picture in pixels. Other shapes are kept, with about as many pixels.",
        ),
        io.Boolean.Input("flip", default=False, tooltip="Train on a mirrored copy of every pair as well."),
        io.Combo.Input(
            "hints",
            options=[FROM_DATASET, *preprocessors()],
            default=FROM_DATASET,
            tooltip=f"{given}, or a preprocessor that makes them from the pictures. It then also measures adherence.",
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
                "Reads pairs of picture and hint, with prompts, from a subfolder of the input folder: prompt.json "
                "(fill50k), metadata.jsonl (diffusers), or pictures with hints of the same names in "
                "'conditioning_data' and prompts in .txt or .caption files."
            ),
            search_aliases=["dataset", "training data", "fill50k", "kohya"],
            inputs=[
                io.Combo.Input("folder", options=list_folders(), tooltip="A subfolder of ComfyUI's input folder."),
                *_shared_inputs("The hints in the folder"),
            ],
            outputs=[DATASET.Output(display_name="dataset", tooltip="For Train ControlNet.")],
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs: Any) -> float:
        """Never the same: the folder is read each time."""
        return float("nan")

    @classmethod
    def execute(cls, folder: str, resolution: int, flip: bool, hints: str) -> io.NodeOutput:
        source = source_of_input_folder(folder, Preparation(resolution, flip, hint_maker(hints)))
        return io.NodeOutput(source, ui=ui.PreviewText(source.summary()))


class ZeroConvTrainingImages(io.ComfyNode):
    """A dataset of images on the canvas."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvTrainingImages",
            display_name="Training Pairs from Images",
            category=CATEGORY,
            description="Makes pairs of picture and hint from image batches, with prompts.",
            search_aliases=["dataset", "training data"],
            inputs=[
                io.Image.Input("targets", tooltip="The pictures that the ControlNet should learn to make."),
                io.String.Input(
                    "prompts",
                    default="",
                    multiline=True,
                    tooltip="One line for each picture, in order, or one for all.",
                ),
                *_shared_inputs("The image batch 'hint_images'"),
                io.Image.Input("hint_images", optional=True, tooltip="One hint for each picture, in the same order."),
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
        preparation = Preparation(resolution, flip, hint_maker(hints))
        return io.NodeOutput(source_of_images(targets, hint_images, prompts, preparation))


class ZeroConvTrainingOptions(io.ComfyNode):
    """The options of a training that are rarely changed."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        share = {"default": 0.0, "min": 0.0, "max": 1.0, "step": 0.01}
        return schema(
            node_id="ZeroConvTrainingOptions",
            display_name="Training Options",
            category=CATEGORY,
            description="Options that are rarely changed. Without this node the training is that of the paper.",
            search_aliases=["ema", "min snr", "noise offset"],
            inputs=[
                io.Float.Input("ema_decay", **{**share, "max": 0.9999, "step": 0.0001}, tooltip=TOOLTIPS["ema_decay"]),
                io.Int.Input("warmup", default=0, min=0, max=100000, tooltip=TOOLTIPS["warmup"]),
                io.Float.Input("weight_decay", **{**share, "default": 0.01}, tooltip=TOOLTIPS["weight_decay"]),
                io.Float.Input(
                    "max_grad_norm", **{**share, "default": 1.0, "max": 100.0}, tooltip=TOOLTIPS["max_grad_norm"]
                ),
                io.Boolean.Input("only_middle", default=False, tooltip=TOOLTIPS["only_middle"]),
                io.Float.Input("hint_dropout", **share, tooltip=TOOLTIPS["hint_dropout"]),
                io.Float.Input("noise_offset", **share, tooltip=TOOLTIPS["noise_offset"]),
                io.Combo.Input("weighting", options=["uniform", "min_snr", "velocity"], tooltip=TOOLTIPS["weighting"]),
                io.Float.Input("snr_gamma", default=5.0, min=0.1, max=1000.0, step=0.1, tooltip=TOOLTIPS["snr_gamma"]),
            ],
            outputs=[OPTIONS.Output(display_name="options", tooltip="For Train ControlNet.")],
        )

    @classmethod
    def execute(cls, **options: Any) -> io.NodeOutput:
        return io.NodeOutput(options)


TOOLTIPS = {
    "ema_decay": "Decay of the averaged (EMA) weights, such as 0.999. They give steadier samples. 0 = no averaging.",
    "warmup": "Steps over which the learning rate rises to its value.",
    "weight_decay": "Weight decay of AdamW.",
    "max_grad_norm": "Maximum gradient norm; larger gradients are scaled down. 0 = no limit.",
    "only_middle": "Train only the residual of the middle block: weaker, global control.",
    "hint_dropout": "Fraction of the pairs that are shown with a black hint.",
    "noise_offset": "A value of about 0.05 lets the brightness of pictures vary more.",
    "weighting": "How noise levels are weighted: equally (paper), by min-SNR, or by the error of the velocity.",
    "snr_gamma": "Gamma of min_snr; the largest weight of velocity. Not used by uniform.",
}
OBJECTIVE = ("hint_dropout", "noise_offset", "weighting", "snr_gamma")


class ZeroConvTrain(io.ComfyNode):
    """Train a ControlNet from the base model, and use it at once."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvTrain",
            display_name="Train ControlNet",
            category=CATEGORY,
            description=(
                "Trains a new ControlNet for this model and saves it in models/controlnet. It usually starts to follow "
                "hints suddenly, after a few thousand steps: watch the samples, not the loss. Cancel saves the "
                "training; queue again to continue it."
            ),
            search_aliases=["training", "fine-tune", "learn"],
            is_output_node=True,
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="The base model: SD1.5, SD2.x or SDXL, with its LoRAs. It is not changed.",
                ),
                io.Clip.Input("clip", tooltip="The base model's text encoder."),
                io.Vae.Input("vae", tooltip="The base model's autoencoder."),
                DATASET.Input("dataset", tooltip="From one of the Training Pairs nodes."),
                io.String.Input(
                    "name", default="my-controlnet", tooltip="Name of the new file, without its extension."
                ),
                io.Int.Input("steps", default=5000, min=1, max=1000000, tooltip="Total number of optimizer steps."),
                io.Int.Input(
                    "batch",
                    default=4,
                    min=1,
                    max=256,
                    tooltip="Pairs that are trained on at once. More need more memory.",
                ),
                io.Int.Input(
                    "gradient_accumulation_steps",
                    default=1,
                    min=1,
                    max=256,
                    tooltip="Batches in one step: the effect of a larger batch in the same memory, but slower.",
                ),
                io.Float.Input(
                    "learning_rate",
                    default=1e-5,
                    min=1e-8,
                    max=1.0,
                    step=1e-8,
                    round=False,
                    tooltip="Learning rate of AdamW (paper: 0.00001). Small networks and large batches tolerate more.",
                ),
                io.Combo.Input(
                    "precision",
                    options=["bfloat16", "float16", "float32"],
                    tooltip="Precision of the computation. The trained weights are always float32.",
                ),
                io.Boolean.Input(
                    "gradient_checkpointing",
                    default=True,
                    tooltip="Compute intermediate results again instead of keeping them: less memory, slower.",
                ),
                io.Combo.Input(
                    "optimizer",
                    options=["adamw", "adamw8bit", "paged_adamw8bit"],
                    tooltip="The 8-bit optimizers take a quarter of the memory and need the package bitsandbytes.",
                ),
                io.Float.Input(
                    "prompt_dropout",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Fraction of the pairs shown without a prompt, so that the hint must tell (paper: 0.5).",
                ),
                io.Int.Input(
                    "save_every",
                    default=500,
                    min=0,
                    max=1000000,
                    tooltip="Steps between two saves. 0 = only at the end.",
                ),
                io.Int.Input(
                    "sample_every",
                    default=100,
                    min=0,
                    max=1000000,
                    tooltip="Steps between two sample pictures. 0 = only at the end.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=2**63 - 1,
                    control_after_generate=False,
                    tooltip="Seed of noise, order and samples. A continued training keeps its own.",
                ),
                io.Boolean.Input(
                    "resume", default=True, tooltip="Continue the training of this name, if there is one."
                ),
                io.Combo.Input(
                    "start",
                    options=[NEW, *list_controlnets()],
                    tooltip="An existing ControlNet as the starting point of the new one.",
                ),
                io.String.Input("license", default="", tooltip="License to write into the file, such as CC-BY-4.0."),
                OPTIONS.Input("options", optional=True, tooltip="From Training Options."),
            ],
            outputs=[
                io.ControlNet.Output(display_name="control_net", tooltip="The new ControlNet, for Apply ControlNet."),
                io.Image.Output(
                    display_name="samples", tooltip="Hint, sample with control, and the same seed without control."
                ),
                io.Image.Output(display_name="curves", tooltip="Loss, and adherence of the samples to their hints."),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        clip: Any,
        vae: Any,
        dataset: TrainingSource,
        name: str,
        resume: bool,
        start: str,
        license: str,
        prompt_dropout: float,
        options: dict[str, Any] | None = None,
        **settings: Any,
    ) -> io.NodeOutput:
        from ..host.training.train import train_controlnet, training_job
        from ..training.objective import Objective
        from ..training.settings import Settings

        finer = options or {}
        objective = Objective(prompt_dropout, **{key: finer[key] for key in OBJECTIVE if key in finer})
        rest = {key: value for key, value in finer.items() if key not in OBJECTIVE}
        chosen = Settings(objective=objective, **settings, **rest)
        job = training_job(name, chosen, None if start == NEW else start, resume, license)
        trained = train_controlnet((model, clip, vae), dataset, job)
        return io.NodeOutput(trained.control, trained.strip, trained.curves, ui=ui.PreviewImage(trained.strip, cls=cls))


NODES = [ZeroConvTrainingFolder, ZeroConvTrainingImages, ZeroConvTrain, ZeroConvTrainingOptions]
