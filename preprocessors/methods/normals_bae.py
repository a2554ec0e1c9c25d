"""Surface normals by NormalBAE, the hint of ControlNet v1.1's normal network."""

from ..description import Hint, Inputs, Preprocessor
from ..estimate import estimate, network_size, to_image_size
from ..networks import normal_bae
from ..normal_maps import V11, convention_parameter, normal_colors


def _run(inputs: Inputs) -> Hint:
    normals = estimate(
        inputs.images, inputs.networks("normalbae"), inputs.whole_number("network_size"), normal_bae.MULTIPLE
    )
    colors = normal_colors(normals[:, :3].movedim(1, -1), inputs.choice("convention"))
    return Hint(to_image_size(colors.movedim(-1, 1), inputs.images))


NORMAL_BAE = Preprocessor(
    id="normal_bae",
    label="BAE Normals",
    hint="normals",
    description="Surface normals of the whole picture: red is left, green is up, blue is to the viewer.",
    run=_run,
    parameters=(network_size(512, trained=480), convention_parameter(V11, appended=True)),
    weights=("normalbae",),
    aliases=("BAE-NormalMapPreprocessor", "normal_bae", "NormalBAE", "normal map"),
)
