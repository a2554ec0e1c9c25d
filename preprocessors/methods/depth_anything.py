"""Depth Anything, both versions: fine detail as a hint, near is white. Relative depth, or the second in metres."""

from torch import Tensor

from ..depth_maps import FINER, depth_parameters
from ..description import Inputs, Parameter, Preprocessor, Run
from ..estimate import estimate, network_size
from ..networks import depth_anything

_MODELS = {"small": "dav2_vits", "base": "dav2_vitb", "large": "dav2_vitl", "giant": "dav2_vitg"}
_MODELS_V1 = {"small": "dav1_vits", "base": "dav1_vitb", "large": "dav1_vitl"}


_INDOOR, _OUTDOOR = "indoor", "outdoor"
_METRIC = {
    _INDOOR: {"small": "dav2_indoor_vits", "base": "dav2_indoor_vitb", "large": "dav2_indoor_vitl"},
    _OUTDOOR: {"small": "dav2_outdoor_vits", "base": "dav2_outdoor_vitb", "large": "dav2_outdoor_vitl"},
}
_LOWER, _UPPER = 15.0, 98.0
"""As Zoe's: without them the sky leaves one grey for all that is near."""


def _runs(rows: dict[str, str]) -> Run:
    def run(inputs: Inputs) -> Tensor:
        return _depth(inputs, rows)

    return run


def _run_metric(inputs: Inputs) -> Tensor:
    return _depth(inputs, _METRIC[inputs.choice("scene")])


def _depth(inputs: Inputs, rows: dict[str, str]) -> Tensor:
    network = inputs.networks(rows[inputs.choice("model")])
    return estimate(inputs.images, network, inputs.whole_number("network_size"), depth_anything.MULTIPLE)[:, 0]


def _model(rows: dict[str, str], more: str = "") -> Parameter:
    return Parameter(
        "model",
        "Model",
        "small",
        "Small is free for any use (Apache-2.0). Base and Large are finer and slower; those of V2 are for "
        f"non-commercial use only (CC-BY-NC-4.0).{more}",
        choices=tuple(rows),
    )


_GIANT = " Giant, too: its authors have not published it, so you need a file of your own."
_LIMITS = depth_parameters("inverse", near=20.0, far=0.0)

DEPTH_ANYTHING_V2 = Preprocessor(
    id="depth_anything_v2",
    label="Depth Anything V2",
    hint="depth",
    description="Relative depth with fine detail, near is white.",
    run=_runs(_MODELS),
    parameters=(_model(_MODELS, _GIANT), network_size(518, more=FINER), *_LIMITS),
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
    parameters=(_model(_MODELS_V1), network_size(518, more=FINER), *_LIMITS),
    depth="inverse",
    weights=(_MODELS_V1["small"],),
    aliases=("DepthAnythingPreprocessor", "depth_anything"),
)

DEPTH_ANYTHING_V2_METRIC = Preprocessor(
    id="depth_anything_v2_metric",
    label="Depth Anything V2 Metric",
    hint="depth",
    description="Depth in meters with fine detail, near is white: for rooms or for streets.",
    run=_run_metric,
    parameters=(
        _model(_METRIC[_INDOOR]),
        Parameter(
            "scene",
            "Scene",
            _INDOOR,
            "indoor: rooms, up to 20 m (Hypersim). outdoor: streets, up to 80 m (Virtual KITTI 2).",
            choices=tuple(_METRIC),
        ),
        network_size(518, more=FINER),
        *depth_parameters("meters", near=0.5, far=depth_anything.INDOOR, lower=_LOWER, upper=_UPPER),
    ),
    depth="meters",
    weights=(_METRIC[_INDOOR]["small"],),
    aliases=("depth_anything_v2_metric", "metric depth", "hypersim", "vkitti"),
)
