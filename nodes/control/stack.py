"""Several ControlNets in one node, for those who do not want a chain."""

from collections.abc import Mapping
from typing import Any

from comfy_api.latest import io

from ...host.conditioning import Conditioning, Unit, apply_unit
from ..compat import schema

UNITS = 4


def _unit_inputs(number: int) -> list[io.Input]:
    share = {"min": 0.0, "max": 1.0, "step": 0.001, "optional": True}
    which = f"of unit {number}"
    return [
        io.ControlNet.Input(
            f"control_net_{number}",
            optional=True,
            tooltip=f"ControlNet {which}. Shape it before with Control Mode, Resize Hint ...",
        ),
        io.Image.Input(f"image_{number}", optional=True, tooltip=f"Hint {which}."),
        io.Mask.Input(f"mask_{number}", optional=True, tooltip=f"Where unit {number} acts; white acts."),
        io.Float.Input(
            f"strength_{number}",
            default=1.0,
            min=0.0,
            max=10.0,
            step=0.01,
            optional=True,
            tooltip=f"Strength {which}; 0 is exactly no control.",
        ),
        io.Float.Input(f"start_percent_{number}", default=0.0, **share, tooltip=f"Where {which} the control begins."),
        io.Float.Input(f"end_percent_{number}", default=1.0, **share, tooltip=f"Where {which} the control ends."),
    ]


class ZeroConvStack(io.ComfyNode):
    """Attach up to four ControlNets, as a chain of ControlNet Apply would."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvStack",
            display_name="Stack ControlNets",
            category="ZeroConv/control",
            description="Applies up to four ControlNets in one node, first to last; the same as a chain of them.",
            search_aliases=["multi controlnet", "controlnet stack", "units"],
            inputs=[
                io.Conditioning.Input("positive", tooltip="The prompt."),
                io.Conditioning.Input("negative", tooltip="The negative prompt."),
                *(entry for number in range(1, UNITS + 1) for entry in _unit_inputs(number)),
                io.Vae.Input(
                    "vae", optional=True, tooltip="Only for ControlNets that see latents (SD3, Flux, Qwen-Image ...)."
                ),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive", tooltip="The prompt with all controls."),
                io.Conditioning.Output(display_name="negative", tooltip="The negative prompt with all controls."),
            ],
        )

    @classmethod
    def execute(cls, positive: Conditioning, negative: Conditioning, vae: Any = None, **inputs: Any) -> io.NodeOutput:
        for number in range(1, UNITS + 1):
            unit = _unit(inputs, number, vae)
            if unit is not None:
                positive, negative = apply_unit(unit, positive, negative)
        return io.NodeOutput(positive, negative)


def _unit(inputs: Mapping[str, Any], number: int, vae: Any) -> Unit | None:
    """The settings of one unit; None when it is not wired. Raises ValueError when half of it is."""
    control, image = inputs.get(f"control_net_{number}"), inputs.get(f"image_{number}")
    if control is None and image is None:
        return None
    if control is None or image is None:
        missing = "control_net" if control is None else "image"
        raise ValueError(f"Unit {number} of the stack has no {missing}. Wire {missing}_{number}, or take its wire off.")
    return Unit(
        control,
        image,
        inputs.get(f"strength_{number}", 1.0),
        inputs.get(f"start_percent_{number}", 0.0),
        inputs.get(f"end_percent_{number}", 1.0),
        vae,
        inputs.get(f"mask_{number}"),
    )


NODES = [ZeroConvStack]
