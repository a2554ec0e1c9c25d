"""Whether start_percent and end_percent count timesteps or steps."""

from dataclasses import replace
from typing import Any

from comfy_api.latest import io

from ...controlnet.strength.timeline import RANGE_COUNTINGS, RangeCounting
from ...host.settings import with_factors
from ..compat import schema
from ..sockets import control_input, control_output


class ZeroConvRangeCounting(io.ComfyNode):
    """Choose what start_percent and end_percent count."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvRangeCounting",
            display_name="Count Range In",
            category="ZeroConv/strength",
            description="What start_percent and end_percent of ControlNet Apply are fractions of.",
            search_aliases=["start percent", "end percent", "guidance start"],
            inputs=[
                control_input(),
                io.Combo.Input(
                    "counting",
                    options=list(RANGE_COUNTINGS),
                    default="timesteps",
                    tooltip=(
                        "timesteps: the model's, as in ComfyUI; karras then ends early. steps: those that begin and "
                        "end inside, as in diffusers. steps (A1111): those that begin inside, as there."
                    ),
                ),
            ],
            outputs=[control_output()],
        )

    @classmethod
    def execute(cls, control_net: Any, counting: RangeCounting) -> io.NodeOutput:
        return io.NodeOutput(with_factors(control_net, "counting", lambda i: replace(i, counting=counting)))


NODES = [ZeroConvRangeCounting]
