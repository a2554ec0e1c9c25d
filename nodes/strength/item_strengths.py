"""A strength for each image of a batch or frame of a video."""

from dataclasses import replace
from typing import Any

from comfy_api.latest import io

from ...controlnet.strength.per_item import ItemStrengths
from ...host.settings import with_factors
from ..compat import schema
from ..sockets import control_input, control_output


class ZeroConvItemStrengths(io.ComfyNode):
    """Set the strength of each picture or frame."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvItemStrengths",
            display_name="Strength per Item",
            category="ZeroConv/strength",
            description="How strongly each picture of a batch, or each frame of a video, is controlled.",
            search_aliases=["latent keyframe", "batch strength", "strength per frame"],
            inputs=[
                control_input(),
                io.String.Input(
                    "strengths",
                    default="0: 1",
                    multiline=True,
                    tooltip=(
                        "item: strength, or first:stop = strength. Items count from 0, or from the end as -1, -2; the "
                        "stop is left out. Items not named have strength 1. Example: 0: 1, 1:3 = 0.5, -1: 0"
                    ),
                ),
                io.Boolean.Input(
                    "interpolated",
                    default=False,
                    tooltip="Frames between named ones change evenly from one to the other.",
                ),
            ],
            outputs=[control_output()],
        )

    @classmethod
    def execute(cls, control_net: Any, strengths: str, interpolated: bool) -> io.NodeOutput:
        items = ItemStrengths.parse(strengths, interpolated)
        return io.NodeOutput(with_factors(control_net, "strength per item", lambda i: replace(i, items=items)))


NODES = [ZeroConvItemStrengths]
