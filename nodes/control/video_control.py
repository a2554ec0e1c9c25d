"""Control of videos that is part of the conditioning: VACE, Wan Fun, LTX guides."""

from typing import Any

from comfy_api.latest import io

from ...controlnet.strength.per_item import ItemStrengths
from ...controlnet.strength.schedule import Schedule
from ...host.conditioning import Conditioning
from ...host.video_control import VideoShape, shape_video_control
from ..compat import schema
from ..sockets import SCHEDULE, range_inputs


class ZeroConvShapeVideoControl(io.ComfyNode):
    """Choose how strongly, when and where the control of a video model acts."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvShapeVideoControl",
            display_name="Shape Video Control",
            category="ZeroConv/control",
            description=(
                "Strength, range, schedule, mask and a strength for each frame, for control that comes through the "
                "prompts: Wan VACE, Wan Fun control and LTX guides."
            ),
            search_aliases=["vace strength", "wan fun control", "ltx guide", "video control"],
            inputs=[
                io.Conditioning.Input("positive", tooltip="From WanVaceToVideo, WanFunControlToVideo or LTXVAddGuide."),
                io.Conditioning.Input("negative", tooltip="From the same node."),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=10.0,
                    step=0.01,
                    tooltip="A factor on the control's own strength. Wan Fun knows no more than 1.",
                ),
                *range_inputs(
                    "Where control begins, as a fraction of the timesteps.",
                    "Where control ends, as a fraction of the timesteps.",
                ),
                io.String.Input(
                    "frames",
                    default="",
                    tooltip=(
                        "Strengths of frames of the video: frame: strength, or first:stop = strength. Frames not named "
                        "have strength 1. Example: 0:40 = 1, 40:81 = 0.5. Empty: all frames alike."
                    ),
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Where in the picture control acts: one mask for all frames, or one for each.",
                ),
                SCHEDULE.Input("schedule", optional=True, tooltip="The strength over the sampling."),
            ],
            outputs=[
                io.Conditioning.Output(display_name="positive", tooltip="The prompt with this control."),
                io.Conditioning.Output(display_name="negative", tooltip="The negative prompt with this control."),
            ],
        )

    @classmethod
    def execute(
        cls,
        positive: Conditioning,
        negative: Conditioning,
        strength: float,
        start_percent: float,
        end_percent: float,
        frames: str,
        mask: Any = None,
        schedule: Schedule | None = None,
    ) -> io.NodeOutput:
        named = ItemStrengths.parse(frames) if frames.strip() else None
        shape = VideoShape(strength, start_percent, end_percent, schedule, mask, named)
        return io.NodeOutput(shape_video_control(shape, positive), shape_video_control(shape, negative))


NODES = [ZeroConvShapeVideoControl]
