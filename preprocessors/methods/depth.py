"""Depth as a hint: near is white (MiDaS, Depth Anything)."""

from collections.abc import Callable

from torch import Tensor, nn

from ..description import Networks, Parameter, Preprocessor, Settings
from ..estimate import estimate, network_size
from ..networks import depth_anything, midas

_MODELS = {"small": "dav2_vits", "base": "dav2_vitb", "large": "dav2_vitl"}
_MODELS_V1 = {"small": "dav1_vits", "base": "dav1_vitb", "large": "dav1_vitl"}

FINER = ": more gives finer edges, but large surfaces may come apart"
"""What a larger network size does."""

_ROUNDING = 1e-3


def stretch(depth: Tensor) -> Tensor:
    """Every picture's depth (B, 1, H, W), 0 or more, to the whole range 0..1.

    All 0 for a picture whose depth varies less than the rounding of a network in half precision.
    """
    lowest, highest = depth.amin((1, 2, 3), keepdim=True), depth.amax((1, 2, 3), keepdim=True)
    span = highest - lowest
    flat = span <= _ROUNDING * highest
    return ((depth - lowest) / span.masked_fill(flat, 1)).masked_fill(flat, 0)


def as_hint(values: Tensor, images: Tensor) -> Tensor:
    """(B, 1 or 3, h, w) -> (B, H, W, 3) of the size and on the device of `images`."""
    enlarged = nn.functional.interpolate(values, size=images.shape[1:3], mode="bilinear", align_corners=False)
    return enlarged.expand(-1, 3, -1, -1).movedim(1, -1).clamp(0, 1).to(images.device)


def _midas(images: Tensor, settings: Settings, networks: Networks) -> Tensor:
    depth = estimate(images, networks("midas"), int(settings["network_size"]), midas.MULTIPLE)
    return as_hint(stretch(depth), images)


def _depth_anything(rows: dict[str, str]) -> Callable[[Tensor, Settings, Networks], Tensor]:
    def run(images: Tensor, settings: Settings, networks: Networks) -> Tensor:
        network = networks(rows[str(settings["model"])])
        depth = estimate(images, network, int(settings["network_size"]), depth_anything.PATCH)
        return as_hint(stretch(depth), images)

    return run


_MODEL = Parameter(
    "model",
    "Model",
    "small",
    "Small is free for any use (Apache-2.0). Base and Large are finer and slower; those of V2 are for "
    "non-commercial use only (CC-BY-NC-4.0).",
    choices=tuple(_MODELS),
)

MIDAS_DEPTH = Preprocessor(
    id="midas_depth",
    label="MiDaS Depth",
    hint="depth",
    description="Relative depth, near is white: the depth that the first depth ControlNets were trained with.",
    run=_midas,
    parameters=(network_size(384, more=FINER),),
    weights=("midas",),
    aliases=("MiDaS-DepthMapPreprocessor", "depth_midas", "depth", "DPT hybrid"),
)

DEPTH_ANYTHING_V2 = Preprocessor(
    id="depth_anything_v2",
    label="Depth Anything V2",
    hint="depth",
    description="Relative depth with fine detail, near is white.",
    run=_depth_anything(_MODELS),
    parameters=(_MODEL, network_size(518, more=FINER)),
    weights=(_MODELS["small"],),
    aliases=("DepthAnythingV2Preprocessor", "depth_anything_v2"),
)

DEPTH_ANYTHING = Preprocessor(
    id="depth_anything",
    label="Depth Anything V1",
    hint="depth",
    description="Relative depth, near is white: the first version, softer than V2.",
    run=_depth_anything(_MODELS_V1),
    parameters=(_MODEL, network_size(518, more=FINER)),
    weights=(_MODELS_V1["small"],),
    aliases=("DepthAnythingPreprocessor", "depth_anything"),
)
