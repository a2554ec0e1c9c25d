"""Socket types: our own, which begin with ZEROCONV_, and one that packs share; and inputs that several nodes have."""

from comfy_api.latest import io

SCHEDULE = io.Custom("ZEROCONV_SCHEDULE")
BLOCK_WEIGHTS = io.Custom("ZEROCONV_BLOCK_WEIGHTS")
DATASET = io.Custom("ZEROCONV_DATASET")
TRAINING_OPTIONS = io.Custom("ZEROCONV_TRAINING_OPTIONS")
POSE_KEYPOINT = io.Custom("POSE_KEYPOINT")
"""Shared with other packs: one OpenPose frame a picture."""


def range_inputs(start: str, end: str) -> list[io.Input]:
    """Where in the sampling something begins and ends, 0..1. start, end: tooltips."""
    limits = {"min": 0.0, "max": 1.0, "step": 0.001}
    return [
        io.Float.Input("start_percent", default=0.0, **limits, tooltip=start),
        io.Float.Input("end_percent", default=1.0, **limits, tooltip=end),
    ]


def control_input() -> io.Input:
    """The ControlNet that a node sets up."""
    return io.ControlNet.Input("control_net", tooltip="From ControlNet Load.")


def control_output() -> io.Output:
    """The same ControlNet with the node's setting."""
    return io.ControlNet.Output(display_name="control_net", tooltip="The ControlNet with this setting, for Apply.")
