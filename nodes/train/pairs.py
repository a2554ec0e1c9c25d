"""Pairs to train on: a folder, or images on the canvas."""

from typing import Any

import torch
from comfy_api.latest import io, ui

from ...host.training.pairs import FROM_DATASET, hint_maker, list_folders, source_of_images, source_of_input_folder
from ...training.pairs.dataset import Preparation
from ..compat import schema
from ..preprocess.method_choice import MethodChoice
from ..sockets import DATASET

CATEGORY = "ZeroConv/train"


def _hints(given: str) -> MethodChoice:
    tooltip = f"{given}, or a preprocessor that makes them from the pictures. It then also measures adherence."
    return MethodChoice("hints", tooltip, first=(FROM_DATASET,))


def _accepts(hints: str | None) -> bool | str:
    return _hints("").accepts(hints)


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
        _hints(given),
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
                "'conditioning_data' and prompts in .txt or .caption files, or a Hugging Face data set "
                "(Parquet, or save_to_disk)."
            ),
            search_aliases=["dataset", "training data", "fill50k", "kohya", "hugging face", "parquet"],
            is_output_node=True,
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
    def validate_inputs(cls, hints: str | None = None) -> bool | str:
        return _accepts(hints)

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
            is_output_node=True,
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
    def validate_inputs(cls, hints: str | None = None) -> bool | str:
        return _accepts(hints)

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
        source = source_of_images(targets, hint_images, prompts, preparation)
        return io.NodeOutput(source, ui=ui.PreviewText(source.summary()))


NODES = [ZeroConvTrainingFolder, ZeroConvTrainingImages]
