"""Depth in metres by Zoe on Depth Anything, for rooms or for streets, shown with near white."""

from torch import Tensor

from ..depth_maps import FINER, depth_parameters
from ..description import Inputs, Parameter, Preprocessor
from ..estimate import estimate, network_size
from ..networks import zoe_depth_anything

_MODELS = {"indoor": "zoe_da_indoor", "outdoor": "zoe_da_outdoor"}
_LOWER, _UPPER = 15.0, 98.0
"""As Zoe's: without them the sky leaves one grey for all that is near."""


def _run(inputs: Inputs) -> Tensor:
    network = inputs.networks(_MODELS[inputs.choice("scene")])
    return estimate(inputs.images, network, inputs.whole_number("network_size"), zoe_depth_anything.MULTIPLE)[:, 0]


ZOE_DEPTH_ANYTHING = Preprocessor(
    id="zoe_depth_anything",
    label="Zoe Depth Anything",
    hint="depth",
    description="Depth in meters by Depth Anything V1 Large with Zoe's bins of distance, near is white.",
    run=_run,
    parameters=(
        Parameter(
            "scene",
            "Scene",
            "indoor",
            "indoor: rooms, up to 10 m (NYU). outdoor: streets, up to 80 m (KITTI).",
            choices=tuple(_MODELS),
        ),
        network_size(392, more=FINER),
        *depth_parameters("meters", near=0.5, far=zoe_depth_anything.INDOOR, lower=_LOWER, upper=_UPPER),
    ),
    depth="meters",
    weights=(_MODELS["indoor"],),
    aliases=("Zoe_DepthAnythingPreprocessor", "depth_zoe_anything", "Zoe-DepthAnything", "metric depth"),
)
