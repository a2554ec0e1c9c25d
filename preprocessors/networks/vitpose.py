"""ViTPose: the points of one body in a crop of a picture, each as a map of how likely it is where.

Sources: Xu et al., "ViTPose" (arXiv 2204.12484) and "ViTPose++" (arXiv 2212.04246); the weight names of
ViTAE-Transformer/ViTPose, which easy_ViTPose's files have too, and of transformers' `VitPoseForPoseEstimation`. Widths,
depths, the kind of head and the number of points are read from the shapes, so that every size fits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .blocks.batch_norm import fold_transposed_batch_norm
from .blocks.vit import Block
from .official import Ops, assemble, unwrap
from .renaming import Rules, count, rename

HEIGHT, WIDTH = 256, 192
"""Size of the crop that the network sees, in pixels."""
_PATCH, _PADDING = 16, 2
_GRID = HEIGHT // _PATCH, WIDTH // _PATCH
_HEADS = {384: 12, 768: 12, 1024: 16, 1280: 16}
"""Heads of attention by the width: small, base, large and huge."""
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_ENLARGED = 4
"""How much larger the maps are than the grid of patches."""

_TRANSFORMERS: Rules = (
    (r"^backbone\.embeddings\.position_embeddings$", "backbone.pos_embed"),
    (r"^backbone\.embeddings\.patch_embeddings\.projection\.", "backbone.patch_embed.proj."),
    (r"^backbone\.encoder\.layer\.", "backbone.blocks."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.attention\.attention\.", ".attn."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.experts\.experts\.", ".experts."),
    (r"^backbone\.layernorm\.", "backbone.last_norm."),
    (r"^head\.conv\.", "keypoint_head.final_layer."),
    (r"^head\.deconv1\.", "keypoint_head.deconv_layers.0."),
    (r"^head\.batchnorm1\.", "keypoint_head.deconv_layers.1."),
    (r"^head\.deconv2\.", "keypoint_head.deconv_layers.3."),
    (r"^head\.batchnorm2\.", "keypoint_head.deconv_layers.4."),
)
"""From the names of transformers to those of the authors."""


@dataclass(frozen=True)
class Plan:
    """The sizes of a network.

    width, depth: of the transformer. points: of a body. deconvolutions: channels of the head's two layers that enlarge
    the map, or None for the simple head, which enlarges it by interpolation.
    """

    width: int
    depth: int
    points: int
    deconvolutions: tuple[int, int] | None


class _Patches(nn.Module):
    def __init__(self, width: int, ops: Ops) -> None:
        super().__init__()
        self.proj = ops.Conv2d(3, width, _PATCH, stride=_PATCH, padding=_PADDING)


class _Backbone(nn.Module):
    def __init__(self, plan: Plan, ops: Ops) -> None:
        super().__init__()
        self.patch_embed = _Patches(plan.width, ops)
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + _GRID[0] * _GRID[1], plan.width))
        self.blocks = nn.ModuleList(Block(plan.width, _HEADS[plan.width], ops) for _ in range(plan.depth))
        self.last_norm = ops.LayerNorm(plan.width, eps=1e-6)

    def forward(self, crops: Tensor) -> Tensor:
        x = self.patch_embed.proj(crops).flatten(2).transpose(1, 2)
        # There is no class token, but its position is added to all patches.
        positions = self.pos_embed.to(x)
        x = x + positions[:, 1:] + positions[:, :1]
        for block in self.blocks:
            x = block(x)
        return self.last_norm(x).transpose(1, 2).unflatten(2, _GRID)


class _Head(nn.Module):
    def __init__(self, plan: Plan, ops: Ops) -> None:
        super().__init__()
        if plan.deconvolutions is None:
            self.deconv_layers = None
            self.final_layer = ops.Conv2d(plan.width, plan.points, 3, padding=1)
        else:
            first, second = plan.deconvolutions
            self.deconv_layers = nn.Sequential(
                ops.ConvTranspose2d(plan.width, first, 4, stride=2, padding=1),
                nn.ReLU(),
                ops.ConvTranspose2d(first, second, 4, stride=2, padding=1),
                nn.ReLU(),
            )
            self.final_layer = ops.Conv2d(second, plan.points, 1)

    def forward(self, features: Tensor) -> Tensor:
        if self.deconv_layers is None:
            large = nn.functional.interpolate(features.relu(), scale_factor=_ENLARGED, mode="bilinear")
            return self.final_layer(large)
        return self.final_layer(self.deconv_layers(features))


class ViTPose(nn.Module):
    """One network for a body of any number of points."""

    def __init__(self, plan: Plan, ops: Ops = nn) -> None:
        super().__init__()
        self.backbone = _Backbone(plan, ops)
        self.keypoint_head = _Head(plan, ops)

    def forward(self, crops: Tensor) -> Tensor:
        """Crops (B, 3, 256, 192) as `normalize` gives them -> maps (B, points, 64, 48), a Gaussian around each."""
        return self.keypoint_head(self.backbone(crops))


def normalize(crops: Tensor) -> Tensor:
    """Red, green and blue (B, 3, H, W) in 0..1 as the network was trained to see them."""
    mean, deviation = (crops.new_tensor(values)[:, None, None] for values in (_MEAN, _DEVIATION))
    return (crops - mean) / deviation


def build(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of a checkpoint of ViTPose, ViTPose+ (as it was trained on COCO) or transformers."""
    weights = _one_expert(_joined_attention(rename(unwrap(state_dict), _TRANSFORMERS)))
    weights = {name: value for name, value in weights.items() if name.startswith(("backbone.", "keypoint_head."))}
    for layer, norm, new in ((0, 1, 0), (3, 4, 2)):
        prefix = "keypoint_head.deconv_layers"
        if f"{prefix}.{norm}.running_mean" in weights:
            weights = fold_transposed_batch_norm(weights, f"{prefix}.{layer}", f"{prefix}.{norm}", f"{prefix}.{new}")
    return assemble(lambda: ViTPose(_plan(weights), ops), weights)


def _plan(weights: Mapping[str, Tensor]) -> Plan:
    width = weights["backbone.last_norm.weight"].shape[0]
    if width not in _HEADS:
        raise ValueError(f"The file does not fit ViTPose: it is {width} wide; {', '.join(map(str, _HEADS))} are known.")
    deconvolutions = [weights.get(f"keypoint_head.deconv_layers.{layer}.weight") for layer in (0, 2)]
    channels = [kernel.shape[1] for kernel in deconvolutions if kernel is not None]
    return Plan(
        width=width,
        depth=count(weights, r"^backbone\.blocks\.(\d+)\."),
        points=len(weights["keypoint_head.final_layer.weight"]),
        deconvolutions=(channels[0], channels[1]) if len(channels) == 2 else None,
    )


def _joined_attention(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Queries, keys and values of transformers' files in one matrix, as the authors have them."""
    joined = dict(weights)
    for name in weights:
        if ".attn.query." in name:
            parts = [joined.pop(name.replace("query", part)) for part in ("query", "key", "value")]
            joined[name.replace("query", "qkv")] = torch.cat(parts)
    return joined


def _one_expert(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """ViTPose+ has a part of each perceptron's last layer once for every data set: here the part for COCO, the first.

    Its outputs come behind those that all data sets share.
    """
    merged = {name: value for name, value in weights.items() if ".experts." not in name}
    for name, value in weights.items():
        if ".experts.0." in name:
            shared = name.replace("experts.0", "fc2")
            merged[shared] = torch.cat([weights[shared], value])
    return merged
