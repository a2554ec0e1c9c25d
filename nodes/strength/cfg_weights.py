"""How strongly a ControlNet acts on each of the two prompts that CFG combines."""

from dataclasses import replace
from typing import Any

from comfy_api.latest import io

from ...controlnet.strength.cfg_weights import CfgWeights
from ...host.settings import with_factors
from ..compat import schema
from ..sockets import control_input, control_output


class ZeroConvCfgWeights(io.ComfyNode):
    """Set the weight for the positive and for the negative prompt."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        limits = {"default": 1.0, "min": 0.0, "max": 10.0, "step": 0.01}
        return schema(
            node_id="ZeroConvCfgWeights",
            display_name="Positive / Negative Weight",
            category="ZeroConv/strength",
            description=(
                "How strongly a ControlNet acts for the positive and for the negative prompt, the two that CFG "
                "combines."
            ),
            search_aliases=["weight per prompt", "uncond multiplier", "cond only", "negative strength"],
            inputs=[
                control_input(),
                io.Float.Input("positive", **limits, tooltip="Factor on the control of the positive prompt."),
                io.Float.Input(
                    "negative",
                    **limits,
                    tooltip=(
                        "Factor on the control of the negative prompt. 0 halves the work, and controls more strongly."
                    ),
                ),
            ],
            outputs=[control_output()],
        )

    @classmethod
    def execute(cls, control_net: Any, positive: float, negative: float) -> io.NodeOutput:
        weights = CfgWeights(positive, negative)
        return io.NodeOutput(with_factors(control_net, "CFG weights", lambda i: replace(i, cfg_weights=weights)))


NODES = [ZeroConvCfgWeights]
