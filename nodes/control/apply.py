"""Apply a ControlNet to the prompt."""

from typing import Any

import torch
from comfy_api.latest import io

from ...controlnet.strength.block_weights import BlockWeights
from ...controlnet.strength.schedule import Schedule
from ...host.conditioning import Conditioning, Unit, apply_unit
from ..compat import schema
from ..sockets import BLOCK_WEIGHTS, SCHEDULE, range_inputs


class ZeroConvApply(io.ComfyNode):
    """Attach a ControlNet and its hint to the positive and negative prompt."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvApply",
            display_name="ControlNet Apply",
            category="ZeroConv/control",
            description="Lets a ControlNet steer the sampling by a hint image. Wire one to the next to chain several.",
            search_aliases=["controlnet apply", "apply control", "control net", "hint"],
            inputs=[
                io.Conditioning.Input("positive", tooltip="The prompt, or the output of another ControlNet Apply."),
                io.Conditioning.Input("negative", tooltip="The negative prompt; it is controlled in the same way."),
                io.ControlNet.Input("control_net", tooltip="From ControlNet Load, or ComfyUI's own loader."),
                io.Image.Input(
                    "image",
                    tooltip="The hint: edges, depth, pose ... One image for all latents of a batch, or one for each.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=10.0,
                    step=0.01,
                    tooltip="How strongly the hint steers. 0 is exactly no control, and costs nothing.",
                ),
                *range_inputs(
                    "Where in the sampling the control begins, as a fraction of the timesteps.",
                    "Where in the sampling the control ends, as a fraction of the timesteps.",
                ),
                io.Vae.Input(
                    "vae",
                    optional=True,
                    tooltip="Only for ControlNets that see latents (SD3, Flux, Qwen-Image ...): the model's VAE.",
                ),
                io.Mask.Input(
                    "mask", optional=True, tooltip="Where in the picture the control acts; white acts, black does not."
                ),
                SCHEDULE.Input(
                    "schedule",
                    optional=True,
                    tooltip="How the strength changes over the sampling.",
                ),
                BLOCK_WEIGHTS.Input(
                    "block_weights", optional=True, tooltip="How strongly each block of the network acts."
                ),
                io.Mask.Input(
                    "inpaint_mask",
                    optional=True,
                    tooltip="Only for inpainting ControlNets: white where the picture is to be painted anew.",
                ),
                io.Image.Input(
                    "inpaint_image",
                    optional=True,
                    tooltip=(
                        "Only for inpainting ControlNets that see a hint too (Z-Image): the picture to complete. The "
                        "others (Flux, SD3, Qwen-Image) are given it as image."
                    ),
                ),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive", tooltip="The prompt with the control."),
                io.Conditioning.Output(display_name="negative", tooltip="The negative prompt with the control."),
            ],
        )

    @classmethod
    def execute(
        cls,
        positive: Conditioning,
        negative: Conditioning,
        control_net: Any,
        image: torch.Tensor,
        strength: float,
        start_percent: float,
        end_percent: float,
        vae: Any = None,
        mask: torch.Tensor | None = None,
        schedule: Schedule | None = None,
        block_weights: BlockWeights | None = None,
        inpaint_mask: torch.Tensor | None = None,
        inpaint_image: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        unit = Unit(
            control_net,
            image,
            strength,
            start_percent,
            end_percent,
            vae,
            mask,
            schedule,
            block_weights,
            inpaint_image,
            inpaint_mask,
        )
        return io.NodeOutput(*apply_unit(unit, positive, negative))


NODES = [ZeroConvApply]
