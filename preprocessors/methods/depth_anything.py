"""Depth Anything, both versions: relative depth with fine detail as a hint, near is white."""

from ..depth_maps import FINER, stretch
from ..description import Hint, Inputs, Parameter, Preprocessor, Run
from ..estimate import estimate, network_size, to_image_size
from ..networks import depth_anything

_MODELS = {"small": "dav2_vits", "base": "dav2_vitb", "large": "dav2_vitl"}
_MODELS_V1 = {"small": "dav1_vits", "base": "dav1_vitb", "large": "dav1_vitl"}


def _runs(rows: dict[str, str]) -> Run:
    def run(inputs: Inputs) -> Hint:
        network = inputs.networks(rows[inputs.choice("model")])
        depth = estimate(inputs.images, network, inputs.whole_number("network_size"), depth_anything.PATCH)
        return Hint(to_image_size(stretch(depth), inputs.images))

    return run


_MODEL = Parameter(
    "model",
    "Model",
    "small",
    "Small is free for any use (Apache-2.0). Base and Large are finer and slower; those of V2 are for "
    "non-commercial use only (CC-BY-NC-4.0).",
    choices=tuple(_MODELS),
)

DEPTH_ANYTHING_V2 = Preprocessor(
    id="depth_anything_v2",
    label="Depth Anything V2",
    hint="depth",
    description="Relative depth with fine detail, near is white.",
    run=_runs(_MODELS),
    parameters=(_MODEL, network_size(518, more=FINER)),
    weights=(_MODELS["small"],),
    aliases=("DepthAnythingV2Preprocessor", "depth_anything_v2"),
)

DEPTH_ANYTHING = Preprocessor(
    id="depth_anything",
    label="Depth Anything V1",
    hint="depth",
    description="Relative depth, near is white: the first version, softer than V2.",
    run=_runs(_MODELS_V1),
    parameters=(_MODEL, network_size(518, more=FINER)),
    weights=(_MODELS_V1["small"],),
    aliases=("DepthAnythingPreprocessor", "depth_anything"),
)
