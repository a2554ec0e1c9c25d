"""Zoe on Depth Anything: metric depth, Depth Anything V1 Large with ZoeDepth's bins of distance.

Sources: Yang et al., "Depth Anything" (arXiv 2401.10891), section 4.2; Bhat et al., "ZoeDepth" (arXiv 2302.12288);
weight names of `depth_anything_metric_depth_indoor.pt` and `..._outdoor.pt` (LiheYoung/Depth-Anything: Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from .depth_anything import MULTIPLE as MULTIPLE
from .depth_anything import SIZES, DepthAnything
from .official import Ops, assemble, unwrap
from .zoe import NEAREST, bin_settings, restore_constants

if TYPE_CHECKING:
    from transformers import ZoeDepthConfig

INDOOR = 10.0
"""The farthest of the rooms that the first file was trained with (NYU), in metres; the bins themselves are free."""

_CORE = "core.core."
_UNUSED = ("core.core.pretrained.mask_token", "k_idx", "K_minus_1")
"""Parts of names: the last two are constants that transformers makes itself."""


class ZoeDepthAnything(nn.Module):
    """The whole network."""

    def __init__(self, core: DepthAnything, config: ZoeDepthConfig) -> None:
        super().__init__()
        from transformers.models.zoedepth.modeling_zoedepth import ZoeDepthMetricDepthEstimationHead

        self.core = core
        self.metric_head = ZoeDepthMetricDepthEstimationHead(config)

    def forward(self, images: Tensor) -> Tensor:
        """RGB (B, 3, H, W) in 0..1, H and W multiples of 14 -> distance in metres, (B, 1, H, W)."""
        scratch = self.core.depth_head.scratch
        coarsest, paths = scratch.stages(self.core.depth_head.levels(self.core.maps(images)))
        features = scratch.features_of(paths[-1], (images.shape[2], images.shape[3]))
        relative = scratch.depth_of(features).relu()[:, 0]
        return self.metric_head(features, coarsest, paths, relative)[0]


def build(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of either file. transformers' own layers are used for the bins, whatever `ops` is."""
    named = {name: value for name, value in unwrap(state_dict).items() if not any(part in name for part in _UNUSED)}
    positions = named.get(f"{_CORE}pretrained.pos_embed")
    if positions is None or positions.shape[-1] not in SIZES:
        raise ValueError("The file is not Zoe on Depth Anything: it lacks its core.core.pretrained.pos_embed.")
    size, grid = SIZES[positions.shape[-1]], int((positions.shape[1] - 1) ** 0.5)
    try:
        config = _config(named, size.features)
    except (KeyError, IndexError) as error:
        raise ValueError(f"The file does not fit Zoe on Depth Anything: {error} is missing.") from error
    weights = {_renamed(name): value for name, value in named.items()}
    network = assemble(lambda: ZoeDepthAnything(DepthAnything(size, size.hooks_v1, grid, ops), config), weights)
    restore_constants(network, config.bin_configurations[0]["n_bins"])
    return network


def _renamed(name: str) -> str:
    if name.startswith(_CORE):
        return f"core.{name.removeprefix(_CORE)}"
    return f"metric_head.{name.replace('_net.0.', 'conv1.').replace('_net.2.', 'conv2.')}"


def _config(weights: Mapping[str, Tensor], features: int) -> ZoeDepthConfig:
    from transformers import ZoeDepthConfig

    return ZoeDepthConfig(
        fusion_hidden_size=features,
        num_relative_features=weights[f"{_CORE}depth_head.scratch.output_conv2.0.bias"].shape[0],
        **bin_settings(weights, NEAREST, INDOOR),
    )
