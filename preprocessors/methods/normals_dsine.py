"""Surface normals by DSINE, which knows the camera's field of view."""

from ..camera import FIELD_OF_VIEW, focal_length
from ..depth_maps import PRECISION
from ..description import Hint, Inputs, Parameter, Preprocessor
from ..estimate import network_size, seen_by, to_image_size
from ..networks import dsine
from ..normal_maps import V11, convention_parameter, normal_colors


def _run(inputs: Inputs) -> Hint:
    network = inputs.networks("dsine")
    seen = seen_by(network, inputs.images, inputs.whole_number("network_size"), dsine.MULTIPLE)
    _, height, width, _ = inputs.images.shape
    pixels = focal_length(height, width, inputs.number("field_of_view"))
    normals = network(seen, (pixels / width, pixels / height), inputs.whole_number("refinements"))
    colors = normal_colors(normals.movedim(1, -1), inputs.choice("convention"))
    return Hint(to_image_size(colors.movedim(-1, 1), inputs.images))


DSINE = Preprocessor(
    id="dsine_normals",
    label="DSINE Normals",
    hint="normals",
    description="Surface normals with sharp creases between smooth surfaces, for pictures of any camera.",
    run=_run,
    parameters=(
        network_size(512, trained=480),
        FIELD_OF_VIEW,
        Parameter(
            "refinements",
            "Refinements",
            dsine.REFINEMENTS,
            "How often the normals are corrected by their neighbors; it was trained with 5.",
            minimum=0,
            maximum=20,
            step=1,
        ),
        convention_parameter(V11),
        PRECISION,
    ),
    weights=("dsine",),
    aliases=("DSINE-NormalMapPreprocessor", "normal_dsine", "DSINE", "normal map"),
)
