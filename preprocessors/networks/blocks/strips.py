"""Layers on a picture that is too large for one piece: strip after strip, with the statistics of the whole picture."""

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from .instance_norm import InstanceNorm, Statistics

Layer = Callable[[Tensor], Tensor]


def run_in_strips(layers: Iterable[nn.Module], x: Tensor, rows: int, halo: int) -> Tensor:
    """The layers one after the other on (B, C, H, W), `rows` rows at a time: what they give for the whole.

    Only the result is ever held whole. An instance norm needs the statistics of the whole picture first, so that the
    layers before it run once more for every norm after them.
    rows, halo: of x; halo, as many rows above and below a strip as the layers see together, is cut off again.
    Both are multiples of what the layers shrink their input by.
    """
    waiting: list[Layer] = []
    for layer in layers:
        if isinstance(layer, InstanceNorm):
            statistics = Statistics()
            for _, strip in _strips(waiting, x, rows, halo):
                statistics.add(strip)
            waiting.append(statistics.moments().normalize_)
        else:
            waiting.append(layer)
    result: Tensor | None = None
    for (start, end, scale), strip in _strips(waiting, x, rows, halo):
        if result is None:
            shape = (*strip.shape[:2], round(x.shape[2] * scale), strip.shape[3])
            result = strip.new_empty(shape).contiguous(memory_format=torch.channels_last)
        result[:, :, round(start * scale) : round(end * scale)] = strip
    if result is None:
        raise ValueError(f"A picture of {x.shape[2]} rows has no strips.")
    return result


def _strips(layers: list[Layer], x: Tensor, rows: int, halo: int) -> Iterator[tuple[tuple[int, int, float], Tensor]]:
    """For each strip: its first row of x, the row after its last, rows of the result for one of x; and the result."""
    height = x.shape[2]
    for start in range(0, height, rows):
        end = min(start + rows, height)
        top, bottom = max(0, start - halo), min(end + halo, height)
        strip = x[:, :, top:bottom].clone(memory_format=torch.preserve_format)  # layers may work in place
        for layer in layers:
            strip = layer(strip)
        scale = strip.shape[2] / (bottom - top)
        yield (start, end, scale), strip[:, :, round((start - top) * scale) : round((end - top) * scale)]
