"""Whether the prompt or the hint counts more."""

from typing import Any

from comfy_api.latest import io

from ...controlnet.strength.control_mode import MODES, SOFT_KINDS, ModeName, SoftKind, control_mode
from ...host.settings import with_factors
from ..compat import schema
from ..sockets import control_input, control_output

MODE_TIP = (
    "balanced: all blocks, both prompts. prompt: soft weights, both prompts (A1111's My prompt is more important). "
    "control: soft weights, positive prompt only (ControlNet is more important). cond only: all blocks, positive "
    "prompt only. guess: diffusers' guess mode."
)


class ZeroConvControlMode(io.ComfyNode):
    """Set the control mode."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvControlMode",
            display_name="Control Mode",
            category="ZeroConv/strength",
            description="Lets the prompt or the hint count more. Block weights wired to Apply overrule the mode's.",
            search_aliases=[
                "guess mode",
                "balanced",
                "prompt is more important",
                "controlnet is more important",
            ],
            inputs=[
                control_input(),
                io.Combo.Input("mode", options=list(MODES), default="balanced", tooltip=MODE_TIP),
                io.Combo.Input(
                    "soft_weights",
                    options=list(SOFT_KINDS),
                    default="whole depth",
                    tooltip="The soft weights of the modes prompt and control. A1111 equals that program on SDXL too.",
                ),
            ],
            outputs=[control_output()],
        )

    @classmethod
    def execute(cls, control_net: Any, mode: ModeName, soft_weights: SoftKind) -> io.NodeOutput:
        chosen = control_mode(mode, soft_weights)
        return io.NodeOutput(with_factors(control_net, "control mode", lambda before: before.in_mode(chosen)))


NODES = [ZeroConvControlMode]
