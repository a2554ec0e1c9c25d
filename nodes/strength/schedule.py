"""Strength over the steps of the sampling."""

from comfy_api.latest import io

from ...controlnet.strength.schedule import INTERPOLATIONS, Interpolation, Keyframe, Schedule
from ...controlnet.strength.timeline import COUNTINGS, Counting
from ..compat import schema
from ..sockets import SCHEDULE

CATEGORY = "ZeroConv/strength"

COUNTING_TIP = (
    "What a position counts. timesteps: the model's own, as ComfyUI's start_percent. steps: those of this sampling, "
    "as diffusers and A1111 do; a second pass counts its own. sigma: the noise level itself, which falls."
)


class ZeroConvSchedule(io.ComfyNode):
    """A schedule written as text."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvSchedule",
            display_name="Strength Schedule",
            category=CATEGORY,
            description="Changes the strength of a ControlNet during the sampling, by keyframes in a line of text.",
            search_aliases=["timestep keyframe", "strength curve", "weight per step", "fade"],
            inputs=[
                io.String.Input(
                    "keyframes",
                    default="0: 1, 0.5: 1 ease, 1: 0",
                    multiline=True,
                    tooltip=(
                        "position: strength, in order. Behind the strength, how it goes on from there: "
                        f"{', '.join(INTERPOLATIONS)} (linear if left out). Example: 0: 1, 0.5: 0.6 ease, 1: 0"
                    ),
                ),
                io.Combo.Input("counting", options=list(COUNTINGS), default="timesteps", tooltip=COUNTING_TIP),
            ],
            outputs=[SCHEDULE.Output(display_name="schedule", tooltip="For ControlNet Apply.")],
        )

    @classmethod
    def execute(cls, keyframes: str, counting: Counting) -> io.NodeOutput:
        return io.NodeOutput(Schedule.parse(keyframes, counting))


class ZeroConvKeyframe(io.ComfyNode):
    """One keyframe, added to those before it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvKeyframe",
            display_name="Strength Keyframe",
            category=CATEGORY,
            description="Adds one keyframe to a schedule, or begins one. Wire one to the next; any order will do.",
            search_aliases=["timestep keyframe", "strength curve"],
            inputs=[
                io.Float.Input(
                    "position",
                    default=0.0,
                    min=0.0,
                    max=1000.0,
                    step=0.001,
                    tooltip="Where in the sampling: 0 is its beginning and 1 its end; counted in sigma, a noise level.",
                ),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=-10.0,
                    max=10.0,
                    step=0.01,
                    tooltip="Factor there on the strength that ControlNet Apply gives.",
                ),
                io.Combo.Input(
                    "interpolation",
                    options=list(INTERPOLATIONS),
                    default="linear",
                    tooltip="How the strength goes on from here to the next keyframe.",
                ),
                io.Combo.Input(
                    "counting",
                    options=list(COUNTINGS),
                    default="timesteps",
                    tooltip=f"{COUNTING_TIP} Of a chain, the first keyframe decides.",
                ),
                SCHEDULE.Input("schedule", optional=True, tooltip="The schedule that this keyframe is added to."),
            ],
            outputs=[SCHEDULE.Output(display_name="schedule", tooltip="For ControlNet Apply or the next keyframe.")],
        )

    @classmethod
    def execute(
        cls,
        position: float,
        strength: float,
        interpolation: Interpolation,
        counting: Counting,
        schedule: Schedule | None = None,
    ) -> io.NodeOutput:
        keyframe = Keyframe(position, strength, interpolation)
        if schedule is None:
            return io.NodeOutput(Schedule((keyframe,), counting))
        return io.NodeOutput(schedule.with_keyframe(keyframe))


NODES = [ZeroConvSchedule, ZeroConvKeyframe]
