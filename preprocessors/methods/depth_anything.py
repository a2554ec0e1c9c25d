"""Depth Anything, both versions: relative depth with fine detail as a hint, near is white."""

from torch import Tensor

from ..depth_maps import FINER, depth_parameters
from ..description import Inputs, Parameter, Preprocessor, Run
from ..estimate import estimate, network_size
from ..networks import depth_anything

_MODELS = {"small": "dav2_vits", "base": "dav2_vitb", "large": "dav2_vitl"}
_MODELS_V1 = {"small": "dav1_vits", "base": "dav1_vitb", "large": "dav1_vitl"}


def _runs(rows: dict[str, str]) -> Run:
    def run(inputs: Inputs) -> Tensor:
        network = inputs.networks(rows[inputs.choice("model")])
        return estimate(inputs.images, network, inputs.whole_number("network_size"), depth_anything.PATCH)[:, 0]

    return run


_MODEL = Parameter(
    "model",
    "Model",
    "small",
    "Small is free for any use (Apache-2.0). Base and Large are finer and slower; those of V2 are for "
    "non-commercial use only (CC-BY-NC-4.0).",
    choices=tuple(_MODELS),
)

_LIMITS = depth_parameters("inverse", near=20.0, far=0.0)

DEPTH_ANYTHING_V2 = Preprocessor(
    id="depth_anything_v2",
    label="Depth Anything V2",
    hint="depth",
    description="Relative depth with fine detail, near is white.",
    run=_runs(_MODELS),
    parameters=(_MODEL, network_size(518, more=FINER), *_LIMITS),
    depth="inverse",
    weights=(_MODELS["small"],),
    aliases=("DepthAnythingV2Preprocessor", "depth_anything_v2"),
)

DEPTH_ANYTHING = Preprocessor(
    id="depth_anything",
    label="Depth Anything V1",
    hint="depth",
    description="Relative depth, near is white: the first version, softer than V2.",
    run=_runs(_MODELS_V1),
    parameters=(_MODEL, network_size(518, more=FINER), *_LIMITS),
    depth="inverse",
    weights=(_MODELS_V1["small"],),
    aliases=("DepthAnythingPreprocessor", "depth_anything"),
)
