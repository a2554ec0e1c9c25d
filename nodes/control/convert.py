"""Write a ControlNet in another form."""

from typing import Any

from comfy_api.latest import io, ui

from ...controlnet.formats.convert import DTYPES, LAYOUTS, Conversion
from ...host.loading.convert import convert_control
from ...host.loading.load import list_controlnets
from ..compat import schema

AS_STORED = "as stored"
CATEGORY = "ZeroConv/control"


class ZeroConvConvert(io.ComfyNode):
    """Write a file of `models/controlnet` as a new one: layout, number format, Control-LoRA, another base."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvConvert",
            display_name="Convert ControlNet",
            category=CATEGORY,
            description=(
                "Writes a ControlNet as a new file of models/controlnet: smaller numbers, diffusers' keys, as a "
                "Control-LoRA, or for another base model."
            ),
            search_aliases=["controlnet fp16", "extract control lora", "transfer controlnet", "diffusers"],
            is_output_node=True,
            inputs=[
                io.Combo.Input("control_net", options=list_controlnets(), tooltip="A file of models/controlnet."),
                io.String.Input("name", default="converted", tooltip="Name of the new file, without ending."),
                io.Combo.Input(
                    "layout",
                    options=list(LAYOUTS),
                    tooltip="ldm: the original keys, which every interface reads. diffusers: of its ControlNetModel.",
                ),
                io.Combo.Input(
                    "dtype",
                    options=[AS_STORED, *DTYPES],
                    tooltip="fp16 halves a float32 file; fp8 quarters it, at a small error.",
                ),
                io.Int.Input(
                    "lora_rank",
                    default=0,
                    min=0,
                    max=2048,
                    tooltip="Above 0: a Control-LoRA of this rank (128, 256). Needs the MODEL; takes minutes.",
                ),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip="The base model that the ControlNet was trained on, as it is wired: its LoRAs count.",
                ),
                io.Model.Input(
                    "target_model",
                    optional=True,
                    tooltip=(
                        "A fine-tuned base model, or one with LoRAs, that the new file shall be for; needs 'model', "
                        "too."
                    ),
                ),
            ],
            outputs=[io.String.Output(display_name="report", tooltip="What was written.")],
        )

    @classmethod
    def execute(
        cls,
        control_net: str,
        name: str,
        layout: str,
        dtype: str,
        lora_rank: int,
        model: Any = None,
        target_model: Any = None,
    ) -> io.NodeOutput:
        conversion = Conversion(layout, None if dtype == AS_STORED else dtype, lora_rank)
        report = convert_control(control_net, name, conversion, model, target_model)
        return io.NodeOutput(report, ui=ui.PreviewText(report))


NODES = [ZeroConvConvert]
