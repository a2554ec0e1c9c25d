"""How strongly a ControlNet acts on each of the two prompts that CFG combines."""

from dataclasses import replace
from typing import Any

from comfy_api.latest import io

from ..controlnet.strength.control_mode import CfgWeights
from ..host.settings import with_factors
from .compat import schema
from .sockets import control_input, control_output


class ZeroConvPromptSides(io.ComfyNode):
    """Weigh the positive and the negative side."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        side = {"default": 1.0, "min": 0.0, "max": 10.0, "step": 0.01}
        return schema(
            node_id="ZeroConvPromptSides",
            display_name="Weight per Prompt",
            category="ZeroConv/strength",
            description="How strongly a ControlNet acts beside the positive and beside the negative prompt.",
            search_aliases=["uncond multiplier", "cond only", "negative strength"],
            inputs=[
                control_input(),
                io.Float.Input("positive", **side, tooltip="Factor on the positive prompt's side."),
                io.Float.Input(
                    "negative",
                    **side,
                    tooltip="Factor on the negative prompt's side. 0 halves the work, and controls more strongly.",
                ),
            ],
            outputs=[control_output()],
        )

    @classmethod
    def execute(cls, control_net: Any, positive: float, negative: float) -> io.NodeOutput:
        sides = CfgWeights(positive, negative)
        return io.NodeOutput(with_factors(control_net, "weight per prompt", lambda i: replace(i, cfg_weights=sides)))


NODES = [ZeroConvPromptSides]
