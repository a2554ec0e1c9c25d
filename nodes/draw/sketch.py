"""Draw a hint on the node itself."""

from typing import Any, cast

import torch
from comfy_api.latest import io, ui

from ...host.preprocessing.run import HostProgress
from ...preprocessors.sketch.drawing import LARGEST, SMALLEST, parse_drawing
from ...preprocessors.sketch.strokes import render
from ..compat import schema

LATENT_SCALE = 8
"""Pixels of an image per pixel of its latent."""


class ZeroConvSketch(io.ComfyNode):
    """The sketch pad: strokes of the workflow file become a picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvSketch",
            display_name="Draw Sketch",
            category="ZeroConv/draw",
            description=(
                "A pad to draw a hint on: white lines on black for scribble and line ControlNets, or class colors for "
                "segmentation ControlNets. The strokes are saved in the workflow."
            ),
            search_aliases=["scribble", "draw", "paint", "canvas", "segmentation map", "doodle"],
            inputs=[
                _drawing(),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="A picture to trace over; it gives the drawing its size. The pad shows it after a run.",
                ),
                io.Latent.Input(
                    "latent",
                    optional=True,
                    tooltip=f"Gives the drawing its size: {LATENT_SCALE} pixels per latent pixel.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The drawing on its paper."),
                io.Mask.Output(display_name="mask", tooltip="White where something is drawn."),
            ],
        )

    @classmethod
    def execute(
        cls, drawing: str, image: torch.Tensor | None = None, latent: dict[str, Any] | None = None
    ) -> io.NodeOutput:
        sketch = parse_drawing(drawing)
        width, height = _size(image, latent) or (sketch.width, sketch.height)
        picture, mask = render(sketch.scaled(width, height), HostProgress())
        traced = {} if image is None else ui.PreviewImage(image[:1, ..., :3], cls=cast(Any, cls)).as_dict()
        shown = {"zeroconv_traced": traced.get("images", []), "zeroconv_size": [width, height]}
        return io.NodeOutput(picture, mask, ui=shown)


def _drawing() -> io.Input:
    """A text whose widget is the pad of js/sketch/."""
    tooltip = "The strokes, as the pad writes them (JSON). Empty: a black canvas of 512 x 512."
    text = io.String.Input("drawing", default="", socketless=True, tooltip=tooltip)
    # Set afterwards: the constructor of older hosts does not take it.
    text.extra_dict = {"widgetType": "ZEROCONV_DRAWING"}
    return text


def _size(image: torch.Tensor | None, latent: dict[str, Any] | None) -> tuple[int, int] | None:
    """Width and height that the wired picture asks for, or else the wired latent."""
    if image is not None:
        height, width = image.shape[1:3]
    elif latent is not None:
        height, width = (edge * LATENT_SCALE for edge in latent["samples"].shape[-2:])
    else:
        return None
    if min(width, height) < SMALLEST or max(width, height) > LARGEST:
        raise ValueError(
            f"The wired picture is {width} x {height}: a sketch has edges from {SMALLEST} to {LARGEST} pixels. "
            "Scale the picture first."
        )
    return width, height


NODES = [ZeroConvSketch]
