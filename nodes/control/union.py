"""Say which kind of hint a union ControlNet is given, or give it several at once."""

from typing import Any

import torch
from comfy_api.latest import io

from ...controlnet.networks.union import UNION_TYPES
from ...host.controls.union import TYPE_NAMES, add_union_hint, set_union_type
from ..compat import schema

TYPE_TOOLTIP = "What the hint shows. Soft edges: HED, PiDiNet, scribble. Lines: Canny, line art, straight lines."
ALL_TYPES_TOOLTIP = (
    f"{TYPE_TOOLTIP} Blur, gray and low quality: only Flux unions. A type that this file does not know is refused, "
    "with the names of those it knows. auto: the type is not given."
)


class ZeroConvUnionType(io.ComfyNode):
    """Choose the kind of hint for a union ControlNet."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvUnionType",
            display_name="Set Union ControlNet Type (ZeroConv)",
            category="ZeroConv/control",
            description="Tells a union ControlNet, of SDXL or Flux, what kind of hint ControlNet Apply gives it.",
            search_aliases=["union", "promax", "control type"],
            inputs=[
                io.ControlNet.Input("control_net", tooltip="A union ControlNet from ControlNet Load."),
                io.Combo.Input("type", options=["auto", *TYPE_NAMES], tooltip=ALL_TYPES_TOOLTIP),
            ],
            outputs=[io.ControlNet.Output(display_name="control_net", tooltip="The ControlNet with this type set.")],
        )

    @classmethod
    def execute(cls, control_net: Any, type: str) -> io.NodeOutput:
        return io.NodeOutput(set_union_type(control_net, type))


class ZeroConvUnionHint(io.ComfyNode):
    """Give a union ControlNet one more hint of another kind."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvUnionHint",
            display_name="Add Union Hint",
            category="ZeroConv/control",
            description=(
                "Gives a union ControlNet one more hint, of another kind, in the same run: depth and pose for "
                "the price of one. Set the type of the first hint before."
            ),
            search_aliases=["union", "promax", "multi control"],
            inputs=[
                io.ControlNet.Input("control_net", tooltip="A union ControlNet whose type is set."),
                io.Combo.Input("type", options=list(UNION_TYPES), tooltip=TYPE_TOOLTIP),
                io.Image.Input("image", tooltip="The additional hint: one image, or one for each latent."),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=10.0,
                    step=0.01,
                    tooltip="Strength of this hint, along with the first one.",
                ),
            ],
            outputs=[io.ControlNet.Output(display_name="control_net", tooltip="The ControlNet with this hint added.")],
        )

    @classmethod
    def execute(cls, control_net: Any, type: str, image: torch.Tensor, strength: float) -> io.NodeOutput:
        return io.NodeOutput(add_union_hint(control_net, type, image, strength))


NODES = [ZeroConvUnionType, ZeroConvUnionHint]
