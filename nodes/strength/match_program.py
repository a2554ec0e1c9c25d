"""All choices in which ComfyUI, A1111 and diffusers differ, set at once."""

from typing import Any

from comfy_api.latest import io

from ...controlnet.strength.control_mode import MODES, ModeName
from ...controlnet.strength.program import PROGRAMS, ProgramName
from ...host.settings import with_program
from ..compat import schema
from ..sockets import control_input, control_output
from .control_mode import MODE_TIP


class ZeroConvMatchProgram(io.ComfyNode):
    """Control as another program does."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvMatchProgram",
            display_name="Match A1111 / diffusers",
            category="ZeroConv/strength",
            description=(
                "Sets how ranges are counted, soft weights, how hints are fitted and which prompts a shuffle "
                "ControlNet acts for as A1111, diffusers or ComfyUI does, to repeat an image made there."
            ),
            search_aliases=["a1111", "webui", "act like", "preset", "diffusers", "forge", "parity"],
            inputs=[
                control_input(),
                io.Combo.Input(
                    "program", options=list(PROGRAMS), default="ComfyUI", tooltip="The program whose choices to use."
                ),
                io.Combo.Input("mode", options=list(MODES), default="balanced", tooltip=MODE_TIP),
            ],
            outputs=[control_output()],
        )

    @classmethod
    def execute(cls, control_net: Any, program: ProgramName, mode: ModeName) -> io.NodeOutput:
        return io.NodeOutput(with_program(control_net, program, mode))


NODES = [ZeroConvMatchProgram]
