"""Save raw depth for other programs."""

from typing import Any

import torch
from comfy_api.latest import io

from ...host.preprocessing.depth_files import save_depth_files
from ...preprocessors.depth_files import DEPTH_FORMATS, DepthFormat
from ..compat import schema


class ZeroConvSaveDepth(io.ComfyNode):
    """Write depth into the output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvSaveDepth",
            display_name="Save Depth",
            category="ZeroConv/preprocess",
            description="Saves raw depth in the output folder, for compositing and 3D: EXR or PNG in 16 bits.",
            search_aliases=["exr", "16 bit png", "save depth map", "z depth", "depth pass"],
            is_output_node=True,
            inputs=[
                io.Mask.Input("depth", tooltip="The depth output of a depth preprocessor; also a mask."),
                io.String.Input("name", default="depth", tooltip="Name of the files; a number is put behind it."),
                io.Combo.Input(
                    "format",
                    options=list(DEPTH_FORMATS),
                    tooltip="exr: the values themselves. png16: from the smallest to the largest of the batch, which "
                    "are noted in the file. png16-mm: depth in meters as whole millimeters, up to 65.535 m.",
                ),
            ],
            outputs=[io.Mask.Output(display_name="depth", tooltip="The same depth.")],
        )

    @classmethod
    def execute(cls, depth: torch.Tensor, name: str, format: DepthFormat) -> io.NodeOutput:
        hidden: Any = cls.hidden
        report = save_depth_files(name, depth, format, hidden.prompt, hidden.extra_pnginfo or {})
        return io.NodeOutput(depth, ui={"text": (report,)})


NODES = [ZeroConvSaveDepth]
