"""How the hint meets the picture: its size, its order, its resolution."""

from typing import Any

import torch
from comfy_api.latest import io

from ...controlnet.hint.fit import FIT_MODES, Fit, FitMode, pixel_perfect_resolution
from ...controlnet.hint.order import HINT_ORDERS, HintOrder, parse_frames
from ...controlnet.hint.resample import RESAMPLINGS, Resampling
from ...host.settings import with_fit
from ..compat import schema
from ..sockets import control_input, control_output

CATEGORY = "ZeroConv/hint"

WHOLE_HINT, CROPPED_HINT = "whole hint", "cropped hint"

LATENT_SCALE = 8
"""Pixels of an image per pixel of its latent."""

FIT_TIP = (
    "crop: fill the picture and cut off two sides, as ComfyUI does. stretch: fill it out of shape. fit inside: keep "
    "all of the hint and fill the border with its border color."
)


class ZeroConvFitHint(io.ComfyNode):
    """Choose how hints of another size or number meet the picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvFitHint",
            display_name="Resize Hint",
            category=CATEGORY,
            description="How a hint of another size or shape meets the picture, and many hints a batch of pictures.",
            search_aliases=["resize mode", "crop and resize", "resize and fill", "batch mapping"],
            inputs=[
                control_input(),
                io.Combo.Input("fit", options=list(FIT_MODES), default="crop", tooltip=FIT_TIP),
                io.Combo.Input(
                    "resampling",
                    options=list(RESAMPLINGS),
                    default="edges",
                    tooltip=(
                        "edges: keeps thin lines unbroken, binary maps binary and plain colors unmixed. nearest: as "
                        "ComfyUI does. lanczos: as diffusers does."
                    ),
                ),
                io.Combo.Input(
                    "hint_order",
                    options=list(HINT_ORDERS),
                    default="one each",
                    tooltip=(
                        "one each: hint 1 to picture 1, and so on; the counts must agree. repeat: from the first "
                        "again. hold last: the last one for the rest. first for all: only the first."
                    ),
                ),
                io.Combo.Input(
                    "areas",
                    options=[WHOLE_HINT, CROPPED_HINT],
                    default=WHOLE_HINT,
                    optional=True,
                    tooltip=(
                        "For prompts with an area (Conditioning (Set Area)). whole hint: squeezed into each area, as "
                        "ComfyUI does. cropped hint: each area gets the part of the hint, and of the mask, that "
                        "lies there."
                    ),
                ),
                io.String.Input(
                    "frames",
                    default="",
                    optional=True,
                    tooltip=(
                        "For a SparseCtrl: the frame of the video that each hint is for, as 0, 8, -1; negative from "
                        "the end. Empty: evenly from the first to the last."
                    ),
                ),
            ],
            outputs=[control_output()],
        )

    @classmethod
    def execute(
        cls,
        control_net: Any,
        fit: FitMode,
        resampling: Resampling,
        hint_order: HintOrder,
        areas: str = WHOLE_HINT,
        frames: str = "",
    ) -> io.NodeOutput:
        spread = parse_frames(frames)
        return io.NodeOutput(with_fit(control_net, Fit(fit, resampling), hint_order, areas == CROPPED_HINT, spread))


class ZeroConvPixelPerfect(io.ComfyNode):
    """The resolution at which a preprocessor's pixels become the picture's one to one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvPixelPerfect",
            display_name="Pixel Perfect Resolution",
            category=CATEGORY,
            description=(
                "The resolution for a preprocessor node, so that the lines it draws are neither thickened nor thinned "
                "when the hint meets the picture."
            ),
            search_aliases=["pixel perfect", "preprocessor resolution"],
            inputs=[
                io.Image.Input("image", tooltip="The photograph that goes into the preprocessor."),
                io.Latent.Input("latent", tooltip="The latent that will be sampled; it gives the picture's size."),
                io.Combo.Input("fit", options=list(FIT_MODES), default="crop", tooltip=FIT_TIP),
            ],
            outputs=[
                io.Int.Output(display_name="resolution", tooltip="Shorter side, for the resolution of a preprocessor.")
            ],
        )

    @classmethod
    def execute(cls, image: torch.Tensor, latent: dict[str, Any], fit: FitMode) -> io.NodeOutput:
        height, width = (side * LATENT_SCALE for side in latent["samples"].shape[-2:])
        return io.NodeOutput(pixel_perfect_resolution((image.shape[1], image.shape[2]), (height, width), fit))


NODES = [ZeroConvFitHint, ZeroConvPixelPerfect]
