"""A ControlNet that runs at some of the steps only."""

from typing import Any

from comfy_api.latest import io

from ...controlnet.caching.run_interval import MOST_STEPS, Adaptive, EveryNthStep, RunInterval
from ...host.settings import with_run_interval
from ..compat import schema
from ..sockets import control_input, control_output

EVERY, ADAPTIVE = "every n-th step", "adaptive"


class ZeroConvFewerRuns(io.ComfyNode):
    """Let the network rest at some steps."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="ZeroConvFewerRuns",
            display_name="Fewer Runs",
            category="ZeroConv/speed",
            description=(
                "Runs a ControlNet at some of the steps only and uses what it gave again at the steps between: faster, "
                "and approximate. Preview Steps shows where it will run, Report ControlNets how often it did."
            ),
            search_aliases=["speed up", "skip steps", "cache", "every n steps", "faster"],
            inputs=[
                control_input(),
                io.Combo.Input(
                    "method",
                    options=[EVERY, ADAPTIVE],
                    default=EVERY,
                    tooltip=(
                        "every n-th step: at even distances. adaptive: again as soon as what it gave last has probably "
                        "become wrong by more than the tolerance."
                    ),
                ),
                io.Int.Input(
                    "every_n_steps",
                    default=2,
                    min=1,
                    max=MOST_STEPS,
                    tooltip="For every n-th step: 2 halves the runs, 1 runs at every step.",
                ),
                io.Float.Input(
                    "tolerance",
                    default=0.2,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="For adaptive: the greatest error, as a share of what the network gives. 0 always runs.",
                ),
            ],
            outputs=[control_output()],
        )

    @classmethod
    def execute(cls, control_net: Any, method: str, every_n_steps: int, tolerance: float) -> io.NodeOutput:
        run_interval: RunInterval = EveryNthStep(every_n_steps) if method == EVERY else Adaptive(tolerance)
        return io.NodeOutput(with_run_interval(control_net, run_interval))


NODES = [ZeroConvFewerRuns]
