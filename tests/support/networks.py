"""Small ControlNets with random weights, of each family's shape."""

import torch
from zeroconv.controlnet.networks.controlnet import ControlNet
from zeroconv.controlnet.networks.dimensions import Block, Dimensions

HINT_WIDTHS = (16, 16, 32, 32, 96, 96, 256)


def dimensions(family: str, width: int) -> Dimensions:
    """The family's layout at `width` model channels; 320 is the official size."""
    a, b, c = width, 2 * width, 4 * width
    if family in ("SD1.5", "SD2.x"):
        stages = (Block(a, 1), Block(a, 1), Block(a, downsample=True), Block(b, 1), Block(b, 1))
        stages += (Block(b, downsample=True), Block(c, 1), Block(c, 1), Block(c, downsample=True), Block(c), Block(c))
        context, linear = (768, False) if family == "SD1.5" else (1024, True)
        return Dimensions(4, 3, HINT_WIDTHS, width, stages, Block(c, 1), context, None, linear)
    if family == "SD1.5, two levels":
        stages = (Block(a, 1), Block(a, downsample=True), Block(b, 1))
        return Dimensions(4, 3, HINT_WIDTHS, width, stages, Block(b, 1), 768, None, False)
    depth = {"SDXL": (2, 10, 10), "SDXL mid": (None, 1, 1), "SDXL small": (None, None, 0)}[family]
    stages = (Block(a), Block(a), Block(a, downsample=True), Block(b, depth[0]), Block(b, depth[0]))
    stages += (Block(b, downsample=True), Block(c, depth[1]), Block(c, depth[1]))
    context = None if family == "SDXL small" else 2048
    return Dimensions(4, 3, HINT_WIDTHS, width, stages, Block(c, depth[2]), context, 2816, True)


HINT_GAIN = 3.2
"""For each layer of the hint encoder: torch's default weights halve what they are given eight times over, and a white
hint would be next to a black one."""


def random_network(dims: Dimensions, seed: int = 0) -> ControlNet:
    """A network with random weights in every part: the zero convolutions are not zero, and the hint comes through."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = ControlNet(dims).eval().requires_grad_(False)
    for name, value in network.named_parameters():
        if name.startswith("input_hint_block") and name.endswith("weight"):
            value.mul_(HINT_GAIN)
    return network
