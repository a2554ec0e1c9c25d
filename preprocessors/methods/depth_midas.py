"""MiDaS: relative depth as a hint, near is white."""

from torch import Tensor

from ..depth_maps import FINER, depth_parameters
from ..description import Inputs, Preprocessor
from ..estimate import estimate, network_size
from ..networks import midas


def _run(inputs: Inputs) -> Tensor:
    return estimate(inputs.images, inputs.networks("midas"), inputs.whole_number("network_size"), midas.MULTIPLE)[:, 0]


MIDAS_DEPTH = Preprocessor(
    id="midas_depth",
    label="MiDaS Depth",
    hint="depth",
    description="Relative depth, near is white: the depth that the first depth ControlNets were trained with.",
    run=_run,
    parameters=(network_size(384, more=FINER), *depth_parameters("inverse", near=3000.0, far=0.0)),
    weights=("midas",),
    aliases=("MiDaS-DepthMapPreprocessor", "depth_midas", "depth", "DPT hybrid"),
    depth="inverse",
)
