"""UniFormer-S with UPerNet: the classes of ADE20K, the network of ControlNet's segmentation annotator.

Sources: Li et al., "UniFormer" (arXiv 2201.09450); Xiao et al., "Unified Perceptual Parsing" (arXiv 1807.10221);
weight names of `upernet_global_small.pth` (Sense-X/UniFormer, Apache-2.0).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .blocks.vit import Block
from .official import Ops, assemble, unwrap

MULTIPLE = 32
CLASSES = 150

_WIDTHS, _DEPTHS, _HEAD_WIDTH = (64, 128, 320, 512), (3, 4, 8, 3), 64
_DECODER_WIDTH = 512
_POOLS = (1, 2, 3, 6)
_MEAN, _DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_UNUSED = ("auxiliary_head.",)


def _channels_last_norm(norm: nn.Module, x: Tensor) -> Tensor:
    """Layer normalization over the channels of (B, C, H, W)."""
    return norm(x.movedim(1, -1)).movedim(-1, 1)


class _PatchEmbedding(nn.Module):
    def __init__(self, channels: int, width: int, patch: int, ops: Ops) -> None:
        super().__init__()
        self.proj = ops.Conv2d(channels, width, patch, stride=patch)
        self.norm = ops.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return _channels_last_norm(self.norm, self.proj(x))


class _ConvolutionMlp(nn.Module):
    def __init__(self, width: int, ops: Ops) -> None:
        super().__init__()
        self.fc1 = ops.Conv2d(width, 4 * width, 1)
        self.fc2 = ops.Conv2d(4 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(nn.functional.gelu(self.fc1(x)))


class _LocalBlock(nn.Module):
    """A block of the fine stages: its "attention" is a 5x5 convolution of each channel."""

    def __init__(self, width: int, ops: Ops) -> None:
        super().__init__()
        self.pos_embed = ops.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv1 = ops.Conv2d(width, width, 1)
        self.attn = ops.Conv2d(width, width, 5, padding=2, groups=width)
        self.conv2 = ops.Conv2d(width, width, 1)
        self.norm2 = nn.BatchNorm2d(width)
        self.mlp = _ConvolutionMlp(width, ops)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pos_embed(x)
        x = x + self.conv2(self.attn(self.conv1(self.norm1(x))))
        return x + self.mlp(self.norm2(x))


class _GlobalBlock(Block):
    """A block of the coarse stages: attention over the whole map, positions from a convolution."""

    def __init__(self, width: int, ops: Ops) -> None:
        super().__init__(width, width // _HEAD_WIDTH, ops)
        self.pos_embed = ops.Conv2d(width, width, 3, padding=1, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pos_embed(x)
        tokens = super().forward(x.flatten(2).transpose(1, 2))
        return tokens.transpose(1, 2).unflatten(2, x.shape[2:])


class _UniFormer(nn.Module):
    def __init__(self, ops: Ops) -> None:
        super().__init__()
        channels = 3
        for stage, (width, depth) in enumerate(zip(_WIDTHS, _DEPTHS, strict=True), 1):
            kind = _LocalBlock if stage <= 2 else _GlobalBlock
            self.add_module(f"patch_embed{stage}", _PatchEmbedding(channels, width, 4 if stage == 1 else 2, ops))
            self.add_module(f"blocks{stage}", nn.Sequential(*(kind(width, ops) for _ in range(depth))))
            self.add_module(f"norm{stage}", ops.LayerNorm(width, eps=1e-6))
            channels = width

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, H, W) -> four maps at 1/4, 1/8, 1/16 and 1/32 of the size."""
        maps = []
        for stage in range(1, len(_WIDTHS) + 1):
            x = self.get_submodule(f"blocks{stage}")(self.get_submodule(f"patch_embed{stage}")(x))
            maps.append(_channels_last_norm(self.get_submodule(f"norm{stage}"), x))
        return maps


class _ConvolutionNorm(nn.Module):
    def __init__(self, channels: int, kernel: int, ops: Ops) -> None:
        super().__init__()
        self.conv = ops.Conv2d(channels, _DECODER_WIDTH, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(_DECODER_WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x)).relu_()


def _resize(x: Tensor, like: Tensor) -> Tensor:
    return nn.functional.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)


class UperHead(nn.Module):
    """Pooled context of the coarsest map, then a feature pyramid."""

    def __init__(self, ops: Ops) -> None:
        super().__init__()
        *finer, coarsest = _WIDTHS
        self.psp_modules = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(size), _ConvolutionNorm(coarsest, 1, ops)) for size in _POOLS
        )
        self.bottleneck = _ConvolutionNorm(coarsest + len(_POOLS) * _DECODER_WIDTH, 3, ops)
        self.lateral_convs = nn.ModuleList(_ConvolutionNorm(width, 1, ops) for width in finer)
        self.fpn_convs = nn.ModuleList(_ConvolutionNorm(_DECODER_WIDTH, 3, ops) for _ in finer)
        self.fpn_bottleneck = _ConvolutionNorm(len(_WIDTHS) * _DECODER_WIDTH, 3, ops)
        self.conv_seg = ops.Conv2d(_DECODER_WIDTH, CLASSES, 1)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps of the backbone, finest first -> logits (B, 150, h, w) at the size of the finest."""
        *finer, coarsest = maps
        context = [_resize(pool(coarsest), coarsest) for pool in self.psp_modules]
        path = self.bottleneck(torch.cat([coarsest, *context], dim=1))
        pyramid = [path]
        for lateral, smooth, features in reversed(list(zip(self.lateral_convs, self.fpn_convs, finer, strict=True))):
            side = lateral(features)
            path = side + _resize(path, side)
            pyramid.insert(0, smooth(path))
        levels = [_resize(level, pyramid[0]) for level in pyramid]
        return self.conv_seg(self.fpn_bottleneck(torch.cat(levels, dim=1)))


class UniFormerUper(nn.Module):
    """The whole network."""

    def __init__(self, ops: Ops = nn) -> None:
        super().__init__()
        self.backbone = _UniFormer(ops)
        self.decode_head = UperHead(ops)

    def forward(self, images: Tensor) -> Tensor:
        """RGB (B, 3, H, W) in 0..1 -> logits of the 150 classes (B, 150, H/4, W/4)."""
        mean, deviation = (images.new_tensor(values).view(3, 1, 1) / 255 for values in (_MEAN, _DEVIATION))
        return self.decode_head(self.backbone((images - mean) / deviation))


def build(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of `upernet_global_small.pth`, without the head that only its training used."""
    weights = {name: value for name, value in unwrap(state_dict).items() if not name.startswith(_UNUSED)}
    return assemble(lambda: UniFormerUper(ops), weights)
