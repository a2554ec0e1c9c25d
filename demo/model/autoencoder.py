"""A narrow autoencoder in the TAESD layout: 3 channels in 0..1 <-> 4 latent channels at an eighth of the size.

The encoder is not trained but constructed: three channels are the mean lightness, red-green and blue-yellow of each
8x8 cell, the fourth is how much lightness and color change within the cell. Such a latent is smooth and of about
unit scale, a color word moves whole channels of it, and a diffusion model learns it easily. The decoder is trained.

Module indices are those of TAESD (github.com/madebyollin/taesd; ComfyUI `comfy/taesd/taesd.py`), so that `widen`
can fill the full width up with zeros. TAESD has three blocks a stage where `DECODER_BLOCKS` says how many are real:
the others are the identity, which a block of zero weights is too, since it follows a ReLU.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

DECODER_WIDTHS, DECODER_BLOCKS = (64, 48, 24, 16), (3, 2, 1, 1)
"""Widths and real blocks of the four stages, in the order of computation."""

_OPPONENT = torch.tensor([[1 / 3, 1 / 3, 1 / 3], [0.5, -0.5, 0.0], [-0.25, -0.25, 0.5]])
_GAIN = torch.tensor([3.2, 6.0, 6.0])
_MEAN = torch.tensor([0.45, 0.0, 0.0])
_CHANGE_GAIN, _CHANGE_MEAN = 14.0, 0.02
_DIFFERENCES = 4
"""Rectified differences: right and down, each with both signs."""
_CHANGE_COLORS = torch.tensor([0.4, 0.5, 0.1])
"""How much red, green and blue count in the differences."""


class _Clamp(nn.Module):
    def forward(self, latent: Tensor) -> Tensor:
        return torch.tanh(latent / 3) * 3


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(_conv(width, width), nn.ReLU(), _conv(width, width), nn.ReLU(), _conv(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x) + x)


def _conv(inputs: int, outputs: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=bias)


def encode(image: Tensor) -> Tensor:
    """Latents (N, 4, H/8, W/8) of pictures (N, 3, H, W) in 0..1: the formula of which `build_encoder` makes a net."""
    opponent = torch.einsum("ij,bjhw->bihw", _OPPONENT, nn.functional.avg_pool2d(image, 8))
    color = (opponent - _MEAN.view(1, 3, 1, 1)) * _GAIN.view(1, 3, 1, 1)
    grey = torch.einsum("j,bjhw->bhw", _CHANGE_COLORS, image)[:, None]
    padded = nn.functional.pad(grey, (0, 1, 0, 1))
    change = (padded[..., :-1, 1:] - grey).abs() + (padded[..., 1:, :-1] - grey).abs()
    return torch.cat([color, (nn.functional.avg_pool2d(change, 8) - _CHANGE_MEAN) * _CHANGE_GAIN], 1)


@torch.no_grad()
def build_encoder() -> nn.Sequential:
    """The network of TAESD's encoder layout that computes `encode`; its blocks are the identity."""
    width = 3 + _DIFFERENCES
    first, last = _conv(3, width), _conv(width, 4)
    halves = [_conv(width, width, stride=2, bias=False) for _ in range(3)]
    layers: list[nn.Module] = [first, nn.ReLU()]
    for halve in halves:
        layers += [halve, *(nn.Identity() for _ in range(3))]
    network = nn.Sequential(*layers, last)
    for parameter in network.parameters():
        parameter.zero_()
    for color in range(3):
        first.weight[color, color, 1, 1] = 1
    for index, (row, column, sign) in enumerate(((1, 2, 1), (1, 2, -1), (2, 1, 1), (2, 1, -1))):
        first.weight[3 + index, :, row, column] += sign * _CHANGE_COLORS
        first.weight[3 + index, :, 1, 1] -= sign * _CHANGE_COLORS
    for halve in halves:
        for channel in range(width):
            halve.weight[channel, channel, 1:, 1:] = 0.25
    last.weight[:3, :3, 1, 1] = _OPPONENT * _GAIN[:, None]
    last.weight[3, 3:, 1, 1] = _CHANGE_GAIN
    last.bias = nn.Parameter(torch.cat([-_MEAN * _GAIN, torch.tensor([-_CHANGE_MEAN * _CHANGE_GAIN])]))
    return network


def build_decoder() -> nn.Sequential:
    """Latents (N, 4, h, w) -> pictures (N, 3, 8h, 8w), about 0..1; starts as a smooth enlargement of the colors."""
    widths, blocks = DECODER_WIDTHS, DECODER_BLOCKS
    layers: list[nn.Module] = [_Clamp(), _conv(4, widths[0]), nn.ReLU()]
    for (before, width), real in zip(pairwise(widths), blocks, strict=False):
        layers += [_Block(before) if index < real else nn.Identity() for index in range(3)]
        layers += [nn.Upsample(scale_factor=2), _conv(before, width, bias=False)]
    network = nn.Sequential(*layers, _Block(widths[-1]), _conv(widths[-1], 3))
    _start_as_enlargement(network)
    return network


@torch.no_grad()
def _start_as_enlargement(decoder: nn.Sequential) -> None:
    """Channels 0..2 carry red, green and blue through all stages; the other weights are He's, residuals zero."""
    convolutions = [module for module in decoder if isinstance(module, nn.Conv2d)]
    for module in decoder.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in decoder.modules():
        if isinstance(module, _Block):
            _zero(module.conv[4])
    first, *rest = convolutions
    smooth = torch.tensor([1.0, 2.0, 1.0]) / 4
    back = torch.linalg.inv(_OPPONENT)
    first.weight[:3] = 0
    first.weight[:3, :3, 1, 1] = back / _GAIN
    first.bias = nn.Parameter(torch.cat([back @ _MEAN, torch.zeros(first.out_channels - 3)]))
    for convolution in rest:
        convolution.weight[:3] = 0
        for color in range(3):
            convolution.weight[color, color] = smooth[:, None] * smooth
    rest[-1].weight[:, 3:].normal_(std=0.01)


def _zero(module: nn.Module) -> None:
    for parameter in module.parameters():
        nn.init.zeros_(parameter)


def decoder_loss(decoder: nn.Module, image: Tensor, noise: float = 0.05) -> Tensor:
    """Loss of `image` (N, 3, H, W; 0..1) decoded from its noisy latent: L1 of the picture and of its gradients.

    The noise makes the decoder forgive the diffusion model's errors.
    """
    latent = encode(image)
    error = decoder(latent + noise * torch.randn_like(latent)).float() - image
    edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    return error.abs().mean() + edges
