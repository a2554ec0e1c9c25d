"""All choices in which ComfyUI, A1111 and diffusers differ, set at once."""

from typing import Any

from comfy_api.latest import io

from ..controlnet.strength.control_mode import MODES, ModeName
from ..controlnet.strength.preset import PRESETS, PresetName
from ..host.settings import with_preset
from .compat import schema
from .control_mode import MODE_TIP
from .sockets import control_input, control_output


class ZeroConvPreset(io.ComfyNode):
    """Act as another program."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvPreset",
            display_name="Act Like",
            category="ZeroConv/strength",
            description=(
                "Sets counting, soft weights, fitting of the hint and the side of shuffle ControlNets as a program "
                "does, to repeat its pictures."
            ),
            search_aliases=["a1111", "webui", "diffusers", "forge", "parity"],
            inputs=[
                control_input(),
                io.Combo.Input("program", options=list(PRESETS), default="ComfyUI", tooltip="The program to equal."),
                io.Combo.Input("mode", options=list(MODES), default="balanced", tooltip=MODE_TIP),
            ],
            outputs=[control_output()],
        )

    @classmethod
    def execute(cls, control_net: Any, program: PresetName, mode: ModeName) -> io.NodeOutput:
        return io.NodeOutput(with_preset(control_net, program, mode))


NODES = [ZeroConvPreset]
