"""M-LSD: the straight lines of buildings, rooms and streets (ControlNet v1.0 `hough`, v1.1 `mlsd`)."""

import torch
from torch import Tensor, nn

from ..description import Hint, Inputs, Parameter, Preprocessor, Run
from ..line_maps import three_channels
from ..line_segments import draw_segments
from ..networks.official import run_like

LINES_PER_AREA = 200 / 512**2
"""The annotator looks at 200 centers, whatever the picture's size; here that is for its 512x512 and grows along."""


def decode_lines(maps: Tensor, score: float, length: float, most: int) -> list[Tensor]:
    """The lines of each picture: (N, 4) of x0, y0, x1, y1 in pixels of the picture, the surest first.

    maps: (B, 5, h, w) of the network. score: a line's center must be surer, 0..1. length: a line must be longer, in
    map pixels, each two of the picture. most: at most this many of the surest centers are looked at.
    ControlNet `annotator/mlsd/utils.py`, `pred_lines`.
    """
    batch, _, height, width = maps.shape
    heat = maps[:, :1].sigmoid()
    peaks = heat.where(nn.functional.max_pool2d(heat, 3, stride=1, padding=1) == heat, 0).flatten(1)
    scores, places = peaks.topk(min(most, height * width))
    rows, columns = places.div(width, rounding_mode="floor"), places % width
    offsets = maps[:, 1:].flatten(2).gather(2, places[:, None].expand(batch, 4, -1)).movedim(1, 2)
    ends = (torch.stack([columns, rows, columns, rows], dim=-1) + offsets) * 2
    lengths = (offsets[..., :2] - offsets[..., 2:]).norm(dim=-1)
    keep = (scores > score) & (lengths > length)
    return [lines[kept] for lines, kept in zip(ends, keep, strict=True)]


def draw_lines(lines: list[Tensor], height: int, width: int) -> Tensor:
    """The lines of each picture, white on black and one pixel wide: (B, height, width, 3), 0 or 1."""
    drawings = [torch.from_numpy(draw_segments(ends.trunc().cpu().numpy(), height, width)) for ends in lines]
    return three_channels(torch.stack(drawings).float().div_(255))


def _runs(row: str) -> Run:
    def run(inputs: Inputs) -> Hint:
        height, width = inputs.images.shape[1:3]
        network = inputs.networks(row)
        maps = network(run_like(network, inputs.images.movedim(-1, 1)))
        most = inputs.whole_number("most_lines") or max(200, round(height * width * LINES_PER_AREA))
        score, length = inputs.number("score_threshold"), inputs.number("distance_threshold")
        return Hint(draw_lines(decode_lines(maps, score, length, most), height, width))

    return run


PARAMETERS = (
    Parameter(
        "score_threshold",
        "Score threshold",
        0.1,
        "How sure a line must be. Lower finds more lines.",
        minimum=0.01,
        maximum=1.0,
        step=0.01,
    ),
    Parameter(
        "distance_threshold",
        "Distance threshold",
        0.1,
        "Shorter lines are left out, in steps of two pixels. 20 leaves only long ones.",
        minimum=0.01,
        maximum=20.0,
        step=0.01,
    ),
    Parameter(
        "most_lines",
        "Most lines",
        0,
        "At most this many lines. 0 allows 200 for each 512x512 pixels of the picture; 200 is ControlNet's own limit.",
        minimum=0,
        maximum=10000,
        step=1,
    ),
)

MLSD = Preprocessor(
    id="mlsd",
    label="M-LSD Straight Lines",
    hint="lines",
    description="The straight lines of buildings and rooms, white on black.",
    run=_runs("mlsd_large"),
    parameters=PARAMETERS,
    weights=("mlsd_large",),
    aliases=("M-LSDPreprocessor", "hough", "line segment detection", "straight lines"),
    multiple_of=16,
)

MLSD_TINY = Preprocessor(
    id="mlsd_tiny",
    label="M-LSD Straight Lines, Tiny",
    hint="lines",
    description="The straight lines of buildings and rooms, white on black, by the smaller and faster network.",
    run=_runs("mlsd_tiny"),
    parameters=PARAMETERS,
    weights=("mlsd_tiny",),
    aliases=("mlsd tiny", "fast straight lines"),
    multiple_of=16,
)
