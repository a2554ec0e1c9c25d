"""LeReS: relative depth as a hint, near is white."""

from torch import Tensor

from ..depth_maps import FINER, depth_parameters
from ..description import Inputs, Preprocessor
from ..estimate import estimate, network_size
from ..networks import leres


def _run(inputs: Inputs) -> Tensor:
    return estimate(inputs.images, inputs.networks("leres"), inputs.whole_number("network_size"), leres.MULTIPLE)[:, 0]


LERES_DEPTH = Preprocessor(
    id="leres_depth",
    label="LeReS Depth",
    hint="depth",
    description="Relative depth with much detail in the background, near is white.",
    run=_run,
    parameters=(network_size(448, more=FINER), *depth_parameters("distance", near=-1.0, far=1.0)),
    depth="distance",
    weights=("leres",),
    aliases=("LeReS-DepthMapPreprocessor", "depth_leres", "LeReS"),
)
