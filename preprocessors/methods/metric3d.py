"""Depth in metres and surface normals by Metric3D v2, which knows the camera's focal length."""

from torch import Tensor

from ..camera import FIELD_OF_VIEW, focal_length
from ..depth_maps import FINER, PRECISION, depth_parameters
from ..description import Hint, Inputs, Parameter, Preprocessor
from ..estimate import estimate, network_size, to_image_size
from ..networks import metric3d
from ..normal_maps import V11, convention_parameter, normal_colors

_MODELS = {"small": "metric3d_vits", "large": "metric3d_vitl", "giant": "metric3d_vitg"}
_LOWER, _UPPER = 15.0, 98.0
"""As Zoe's: without them the sky leaves one grey for all that is near."""
_FARTHEST = 300.0
"""In metres, where the authors cut it off."""

_MODEL = Parameter(
    "model",
    "Model",
    "small",
    "Large (about 1650 MB) and Giant (about 5520 MB) are finer and slower than Small (150 MB).",
    choices=tuple(_MODELS),
)


def _estimate(inputs: Inputs) -> Tensor:
    network = inputs.networks(_MODELS[inputs.choice("model")])
    return estimate(inputs.images, network, inputs.whole_number("network_size"), metric3d.MULTIPLE)


def _run_depth(inputs: Inputs) -> Tensor:
    _, height, width, _ = inputs.images.shape
    canonical = _estimate(inputs)[:, 0]
    pixels = inputs.number("focal_length") or focal_length(height, width, inputs.number("field_of_view"))
    seen = pixels * (canonical.shape[1] / height + canonical.shape[2] / width) / 2
    return (canonical * (seen / metric3d.CANONICAL_FOCAL_LENGTH)).clamp(0, _FARTHEST)


def _run_normals(inputs: Inputs) -> Hint:
    colors = normal_colors(_estimate(inputs)[:, 1:].movedim(1, -1), inputs.choice("convention"))
    return Hint(to_image_size(colors.movedim(-1, 1), inputs.images))


METRIC3D_DEPTH = Preprocessor(
    id="metric3d_depth",
    label="Metric3D Depth",
    hint="depth",
    description="Depth in meters for pictures of any camera whose lens you know, near is white.",
    run=_run_depth,
    parameters=(
        _MODEL,
        FIELD_OF_VIEW,
        Parameter(
            "focal_length",
            "Focal length",
            0.0,
            "Of the lens, in pixels of the picture that the method sees, where you know it. 0 = by the field of view.",
            minimum=0.0,
            maximum=100_000.0,
            step=1.0,
            unit="px",
        ),
        network_size(616, more=FINER),
        *depth_parameters("meters", near=0.5, far=50.0, lower=_LOWER, upper=_UPPER),
    ),
    depth="meters",
    weights=(_MODELS["small"],),
    aliases=("Metric3D-DepthMapPreprocessor", "depth_metric3d", "Metric3D", "metric depth"),
)

METRIC3D_NORMALS = Preprocessor(
    id="metric3d_normals",
    label="Metric3D Normals",
    hint="normals",
    description="Surface normals that fit the depth of Metric3D: smooth walls and floors, fine detail.",
    run=_run_normals,
    parameters=(_MODEL, network_size(616), convention_parameter(V11), PRECISION),
    weights=(_MODELS["small"],),
    aliases=("Metric3D-NormalMapPreprocessor", "normal_metric3d", "Metric3D", "normal map"),
)
