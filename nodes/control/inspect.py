"""Say what a ControlNet file is."""

from comfy_api.latest import io, ui

from ...host.loading.load import inspect_control, list_controlnets
from ..compat import schema


class ZeroConvInspect(io.ComfyNode):
    """Describe a file of `models/controlnet` without loading it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvInspect",
            display_name="Inspect ControlNet",
            category="ZeroConv/control",
            description="Says what a ControlNet file is: format, base model family, size, kinds of hints, metadata.",
            search_aliases=["controlnet info", "what is this file"],
            is_output_node=True,
            inputs=[
                io.Combo.Input("control_net", options=list_controlnets(), tooltip="A file of models/controlnet."),
            ],
            outputs=[io.String.Output(display_name="report", tooltip="The description as text.")],
        )

    @classmethod
    def execute(cls, control_net: str) -> io.NodeOutput:
        report = str(inspect_control(control_net))
        return io.NodeOutput(report, ui=ui.PreviewText(report))


NODES = [ZeroConvInspect]
