"""Train a ControlNet. What trains is imported when the node runs."""

from typing import Any

from comfy_api.latest import io, ui

from ...host.loading.load import list_controlnets
from ...training.pairs.dataset import TrainingSource
from ..compat import schema
from ..sockets import DATASET, TRAINING_OPTIONS

OBJECTIVE = ("hint_dropout", "noise_offset", "weighting", "snr_gamma")
"""Options that belong to the loss."""
NEW = "none: a new one"
"""Choice of a ControlNet to continue from: none."""


class ZeroConvTrain(io.ComfyNode):
    """Train a ControlNet from the base model, and use it at once."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvTrain",
            display_name="Train ControlNet",
            category="ZeroConv/train",
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
                TRAINING_OPTIONS.Input("options", optional=True, tooltip="From Training Options."),
            ],
            outputs=[
                io.ControlNet.Output(display_name="control_net", tooltip="The new ControlNet, for ControlNet Apply."),
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
        from ...host.training.train import train_controlnet, training_job
        from ...training.objective import Objective
        from ...training.settings import Settings

        finer = options or {}
        objective = Objective(prompt_dropout, **{key: finer[key] for key in OBJECTIVE if key in finer})
        rest = {key: value for key, value in finer.items() if key not in OBJECTIVE}
        chosen = Settings(objective=objective, **settings, **rest)
        job = training_job(name, chosen, None if start == NEW else start, resume, license)
        trained = train_controlnet((model, clip, vae), dataset, job)
        return io.NodeOutput(trained.control, trained.strip, trained.curves, ui=ui.PreviewImage(trained.strip, cls=cls))


NODES = [ZeroConvTrain]
