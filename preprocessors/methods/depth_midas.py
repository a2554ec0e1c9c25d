"""MiDaS: relative depth as a hint, near is white."""

from ..depth_maps import FINER, stretch
from ..description import Hint, Inputs, Preprocessor
from ..estimate import estimate, network_size, to_image_size
from ..networks import midas


def _run(inputs: Inputs) -> Hint:
    depth = estimate(inputs.images, inputs.networks("midas"), inputs.whole_number("network_size"), midas.MULTIPLE)
    return Hint(to_image_size(stretch(depth), inputs.images))


MIDAS_DEPTH = Preprocessor(
    id="midas_depth",
    label="MiDaS Depth",
    hint="depth",
    description="Relative depth, near is white: the depth that the first depth ControlNets were trained with.",
    run=_run,
    parameters=(network_size(384, more=FINER),),
    weights=("midas",),
    aliases=("MiDaS-DepthMapPreprocessor", "depth_midas", "depth", "DPT hybrid"),
)
