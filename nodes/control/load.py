"""Load a ControlNet file."""

from typing import Any

from comfy_api.latest import io

from ...host.loading.load import POOLING_CHOICES, PoolingChoice, list_controlnets, load_control
from ...host.loading.precision import PRECISIONS, Precision
from ..compat import schema

NO_FILE = "none"


class ZeroConvLoad(io.ComfyNode):
    """Load a ControlNet from `models/controlnet`."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvLoad",
            display_name="ControlNet Load",
            category="ZeroConv/control",
            description=(
                "Loads a ControlNet, Control-LoRA, CtrLoRA, SparseCtrl, T2I-Adapter or ControlNet-LLLite, or a "
                "ControlNet of another family that ComfyUI runs. The file says itself what it is."
            ),
            search_aliases=["controlnet loader", "load control", "control net"],
            inputs=[
                io.Combo.Input(
                    "control_net",
                    options=list_controlnets(),
                    tooltip=(
                        "A file of models/controlnet: .safetensors or .pth, in LDM or diffusers layout. A model in "
                        "several parts is shown once, by its first."
                    ),
                ),
                io.Model.Input(
                    "model",
                    optional=True,
                    tooltip=(
                        "Wire the base model to learn at once when the ControlNet is for another family. A "
                        "Control-LoRA needs it, since it is a difference to it: to the MODEL as it is wired, with its "
                        "LoRAs."
                    ),
                ),
                io.Combo.Input(
                    "pooling",
                    options=list(POOLING_CHOICES),
                    default="auto",
                    optional=True,
                    tooltip=(
                        "For shuffle ControlNets: give every point the mean over the picture, for the positive prompt "
                        "only. auto: as the file, its config.json or yaml, or else its name says. on, both prompts: as "
                        "ComfyUI does."
                    ),
                ),
                io.Combo.Input(
                    "precision",
                    options=list(PRECISIONS),
                    default="auto",
                    optional=True,
                    tooltip=(
                        "Numbers that the ControlNet computes with, whatever the base model does. auto: as ComfyUI "
                        "chooses. bf16 and fp16 take half the memory of fp32; fp8 keeps the weights in a quarter, "
                        "clearly less exactly. On a CPU with AMX or AVX512-BF16, bf16 takes less than half the time up "
                        "to 256 px."
                    ),
                ),
                io.Combo.Input(
                    "base_file",
                    options=[NO_FILE, *list_controlnets()],
                    default=NO_FILE,
                    optional=True,
                    tooltip=(
                        "Only for a CtrLoRA: the base ControlNet that it goes with (ctrlora_sd15_basecn700k). Other "
                        "files do without."
                    ),
                ),
            ],
            outputs=[io.ControlNet.Output(display_name="control_net", tooltip="The ControlNet, for ControlNet Apply.")],
        )

    @classmethod
    def execute(
        cls,
        control_net: str,
        model: Any = None,
        pooling: PoolingChoice = "auto",
        precision: Precision = "auto",
        base_file: str = NO_FILE,
    ) -> io.NodeOutput:
        base = None if base_file == NO_FILE else base_file
        return io.NodeOutput(load_control(control_net, model, pooling, precision, base))


NODES = [ZeroConvLoad]
