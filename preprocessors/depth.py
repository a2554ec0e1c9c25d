"""Depth as a hint: near is white (MiDaS, Depth Anything)."""

from collections.abc import Callable

from torch import Tensor, nn

from .description import Networks, Parameter, Preprocessor, Settings
from .networks import depth_anything, midas
from .networks.official import run_like

_LONGEST = 4
"""Limit of the longer side, in shorter sides: a strip of paper must not cost the memory of a poster."""

_MODELS = {"small": "dav2_vits", "base": "dav2_vitb", "large": "dav2_vitl"}
_MODELS_V1 = {"small": "dav1_vits", "base": "dav1_vitb", "large": "dav1_vitl"}

_ROUNDING = 1e-3


def network_size(default: int) -> Parameter:
    """The setting of how large the network sees the picture."""
    return Parameter(
        "network_size",
        "Network size",
        default,
        f"Shorter side of the picture that the network sees. It was trained at {default}: more gives finer edges, "
        "but large surfaces may come apart. 0 = the picture's own size.",
        minimum=0,
        maximum=2048,
        step=2,
        unit="px",
    )


def estimate(images: Tensor, network: nn.Module, shorter_side: int, multiple: int) -> Tensor:
    """What a network says of pictures (B, H, W, 3) in 0..1, at the size it sees: (B, C, h, w) float32."""
    height, width = images.shape[1:3]
    scale = min(shorter_side / min(height, width), _LONGEST * shorter_side / max(height, width))
    scale = scale if shorter_side else 1.0
    size = tuple(max(1, round(side * scale / multiple)) * multiple for side in (height, width))
    x = run_like(network, images.movedim(-1, 1))
    if x.shape[2:] != size:
        x = nn.functional.interpolate(x, size=size, mode="bicubic", antialias=True).clamp_(0, 1)
    return network(x).float()


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
    parameters=(network_size(384),),
    weights=("midas",),
    aliases=("MiDaS-DepthMapPreprocessor", "depth_midas", "depth", "DPT hybrid"),
)

DEPTH_ANYTHING_V2 = Preprocessor(
    id="depth_anything_v2",
    label="Depth Anything V2",
    hint="depth",
    description="Relative depth with fine detail, near is white.",
    run=_depth_anything(_MODELS),
    parameters=(_MODEL, network_size(518)),
    weights=(_MODELS["small"],),
    aliases=("DepthAnythingV2Preprocessor", "depth_anything_v2"),
)

DEPTH_ANYTHING = Preprocessor(
    id="depth_anything",
    label="Depth Anything V1",
    hint="depth",
    description="Relative depth, near is white: the first version, softer than V2.",
    run=_depth_anything(_MODELS_V1),
    parameters=(_MODEL, network_size(518)),
    weights=(_MODELS_V1["small"],),
    aliases=("DepthAnythingPreprocessor", "depth_anything"),
)
