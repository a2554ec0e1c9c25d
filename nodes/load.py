"""Load a ControlNet file."""

from typing import Any

from comfy_api.latest import io

from ..host.loading import list_controlnets, load_control
from .compat import schema


class ZeroConvLoad(io.ComfyNode):
    """Load a ControlNet from `models/controlnet`."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvLoad",
            display_name="Load ControlNet (ZeroConv)",
            category="ZeroConv/control",
            description="Loads a ControlNet of the SD1.5, SD2.x or SDXL family. The file says itself what it is.",
            search_aliases=["controlnet loader", "load control", "control net"],
            inputs=[
                io.Combo.Input(
                    "control_net",
                    options=list_controlnets(),
                    tooltip="A file of models/controlnet: .safetensors or .pth, in LDM or diffusers layout.",
                ),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="Wire the base model to be told at once when the ControlNet is for another family.",
                ),
            ],
            outputs=[io.ControlNet.Output(tooltip="The ControlNet, for Apply ControlNet.")],
        )

    @classmethod
    def execute(cls, control_net: str, model: Any = None) -> io.NodeOutput:
        return io.NodeOutput(load_control(control_net, model))


NODES = [ZeroConvLoad]
