"""LeReS: depth of a picture but for its scale and shift, by ResNeXt-101 and a decoder of residual blocks.

Sources: Yin et al., "Learning to Recover 3D Scene Shape from a Single Image" (arXiv 2012.09365); weight names of
`res101.pth` (aim-uofa/AdelaiDepth).
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from .blocks.dpt import enlarge
from .blocks.resnext import STAGES, ResNeXt101
from .official import Ops, assemble, channels_last, unwrap

MULTIPLE = 32
"""Sides of the pictures the network takes are multiples of this."""

_COARSEST, _WIDTH = 512, 256
_WRAPPER = "depth_model"
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class _Residual(nn.Module):
    """A convolution to another width, and two beside a shortcut; numbered as in the official file."""

    def __init__(self, channels: int, width: int, ops: Ops) -> None:
        super().__init__()
        self.conv1 = ops.Conv2d(channels, width, 3, padding=1)
        self.conv_branch = nn.Sequential(
            nn.ReLU(),
            ops.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            ops.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x).relu_()  # the official branch begins with a ReLU in place, which its shortcut sees too
        return (x + self.conv_branch(x)).relu_()


class _Fusion(nn.Module):
    """Adds a map to the coarser result so far and makes it twice as large."""

    def __init__(self, channels: int, ops: Ops) -> None:
        super().__init__()
        self.ftb1 = _Residual(channels, _WIDTH, ops)
        self.ftb2 = _Residual(_WIDTH, _WIDTH, ops)

    def forward(self, features: Tensor, coarser: Tensor) -> Tensor:
        return _doubled(self.ftb2(self.ftb1(features) + coarser))


class _Output(nn.Module):
    def __init__(self, ops: Ops) -> None:
        super().__init__()
        self.adapt_conv = nn.Sequential(
            ops.Conv2d(_WIDTH, _WIDTH // 2, 3, padding=1),
            nn.BatchNorm2d(_WIDTH // 2),
            nn.ReLU(),
            ops.Conv2d(_WIDTH // 2, 1, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return _doubled(self.adapt_conv(x))


class _Decoder(nn.Module):
    def __init__(self, ops: Ops) -> None:
        super().__init__()
        channels = [width for width, _ in STAGES]
        self.conv = _Residual(channels[3], _COARSEST, ops)
        self.conv1 = ops.Conv2d(_COARSEST, _WIDTH, 3, padding=1)
        self.ffm2 = _Fusion(channels[2], ops)
        self.ffm1 = _Fusion(channels[1], ops)
        self.ffm0 = _Fusion(channels[0], ops)
        self.outconv = _Output(ops)

    def forward(self, maps: list[Tensor]) -> Tensor:
        x = _doubled(self.conv1(self.conv(maps[3])))
        for fusion, features in ((self.ffm2, maps[2]), (self.ffm1, maps[1]), (self.ffm0, maps[0])):
            x = fusion(features, x)
        return self.outconv(x)


def _doubled(x: Tensor) -> Tensor:
    return enlarge(x, (2 * x.shape[2], 2 * x.shape[3]))


class _Encoder(nn.Module):
    def __init__(self, ops: Ops) -> None:
        super().__init__()
        self.encoder = ResNeXt101(ops)


class Leres(nn.Module):
    """The whole network."""

    def __init__(self, ops: Ops = nn) -> None:
        super().__init__()
        self.encoder_modules = _Encoder(ops)
        self.decoder_modules = _Decoder(ops)

    def forward(self, images: Tensor) -> Tensor:
        """RGB (B, 3, H, W) in 0..1, H and W multiples of 32 -> depth (B, 1, H, W), near is small, of any sign."""
        mean, deviation = (images.new_tensor(values).view(3, 1, 1) for values in (_MEAN, _DEVIATION))
        return self.decoder_modules(self.encoder_modules.encoder((images - mean) / deviation))


def build(state_dict: Mapping[str, Any], ops: Ops = nn) -> nn.Module:
    """The network of `res101.pth`, which keeps it beside those that recover shift and focal length."""
    inner = state_dict.get(_WRAPPER)
    weights = unwrap(inner if isinstance(inner, Mapping) else state_dict)
    weights = {name.removeprefix(f"{_WRAPPER}."): value for name, value in weights.items()}
    return channels_last(assemble(lambda: Leres(ops), weights))
