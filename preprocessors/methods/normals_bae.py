"""Surface normals by NormalBAE, the hint of ControlNet v1.1's normal network."""

from ..description import Hint, Inputs, Preprocessor
from ..estimate import estimate, network_size, to_image_size
from ..networks import normal_bae


def _run(inputs: Inputs) -> Hint:
    normals = estimate(
        inputs.images, inputs.networks("normalbae"), inputs.whole_number("network_size"), normal_bae.MULTIPLE
    )
    return Hint(to_image_size((normals[:, :3] + 1) / 2, inputs.images))


NORMAL_BAE = Preprocessor(
    id="normal_bae",
    label="BAE Normals",
    hint="normals",
    description="Surface normals of the whole picture: red is left, green is up, blue is to the viewer.",
    run=_run,
    parameters=(network_size(512, trained=480),),
    weights=("normalbae",),
    aliases=("BAE-NormalMapPreprocessor", "normal_bae", "NormalBAE", "normal map"),
)
