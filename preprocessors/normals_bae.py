"""Surface normals by NormalBAE, the hint of ControlNet v1.1's normal network."""

from torch import Tensor

from .depth import as_hint, estimate
from .description import Networks, Parameter, Preprocessor, Settings
from .networks import normal_bae


def _run(images: Tensor, settings: Settings, networks: Networks) -> Tensor:
    normals = estimate(images, networks("normalbae"), int(settings["network_size"]), normal_bae.MULTIPLE)
    return as_hint((normals[:, :3] + 1) / 2, images)


NORMAL_BAE = Preprocessor(
    id="normal_bae",
    label="BAE Normals",
    hint="normals",
    description="Surface normals of the whole picture: red is left, green is up, blue is to the viewer.",
    run=_run,
    parameters=(
        Parameter(
            "network_size",
            "Network size",
            512,
            "Shorter side of the picture that the network sees; it was trained at 480. 0 = the picture's own size.",
            minimum=0,
            maximum=2048,
            step=2,
            unit="px",
        ),
    ),
    weights=("normalbae",),
    aliases=("BAE-NormalMapPreprocessor", "normal_bae", "NormalBAE", "normal map"),
)
