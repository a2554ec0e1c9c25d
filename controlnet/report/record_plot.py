"""A picture of what controls added to the model at every step: a row of bars for each residual."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from .plan_plot import BAR, INK, LABEL, MARGIN, PAPER, SOFT, TEXT, Color, dimmed
from .record import Record

ROW, NAMES, NUMBERS = 22, 84, 72
"""Pixels: height of a residual's row, width of its name, width of its greatest size."""
DECADES = 3
"""The darkest bars are of residuals that are this many powers of ten smaller than the strongest."""


@dataclass(frozen=True)
class ControlRecord:
    """A control's record under its name. outputs: how many of its residuals go to the skips; the rest to the middle."""

    name: str
    record: Record
    outputs: int

    @property
    def summary(self) -> str:
        record = self.record
        if not record.moments:
            return f"{self.name}: has not acted in a sampling yet"
        saved = f", {record.saved} runs saved" if record.saved else ""
        return f"{self.name}: ran {record.runs} times{saved}"

    def __str__(self) -> str:
        """The summary, and a line for each residual with its size at every step."""
        levels = self.record.sizes()
        if not levels:
            return self.summary
        rows = zip(*(sizes for _, _, sizes in levels), strict=True)
        lines = [f"{self.label(i)}: {' '.join(f'{size:.3g}' for size in row)}" for i, row in enumerate(rows)]
        return "\n".join((self.summary, f"sigma: {' '.join(f'{sigma:.3g}' for sigma, _, _ in levels)}", *lines))

    def label(self, index: int) -> str:
        return f"output {index}" if index < self.outputs else "middle"


def draw_records(records: Sequence[ControlRecord], width: int = 768) -> Tensor:
    """(1, H, width, 3) in 0..1.

    Each row is scaled to its own greatest size, which stands at its right; the brighter a row, the stronger it is
    beside the others of its control. Dim bars are of steps whose residuals were kept from an earlier one.
    """
    heights = [LABEL + ROW * len(_rows(t)) + MARGIN for t in records]
    picture = Image.new("RGB", (width, MARGIN + (sum(heights) or LABEL) + LABEL), PAPER)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(TEXT)
    top = MARGIN
    for one, height in zip(records, heights, strict=True):
        draw.text((MARGIN, top), one.summary, fill=INK, font=font)
        _draw_rows(draw, one, (MARGIN, top + LABEL, width - MARGIN), font)
        top += height
    note = "root mean square of what is added at each step; each row has its own scale, its greatest at the right"
    if any(one.record.saved for one in records):
        note += "; dim: kept"
    draw.text((MARGIN, top), note if records else "no ControlNet", fill=SOFT, font=font)
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)[None]


def _rows(record: ControlRecord) -> list[tuple[float, ...]]:
    """Sizes of each residual over the steps."""
    return list(zip(*(sizes for _, _, sizes in record.record.sizes()), strict=True))


def _draw_rows(
    draw: ImageDraw.ImageDraw,
    record: ControlRecord,
    corner: tuple[int, int, int],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """corner: left, top, right."""
    left, top, right = corner
    rows, runs = _rows(record), [ran for _, ran, _ in record.record.sizes()]
    strongest = max((max(row) for row in rows), default=0.0)
    for index, row in enumerate(rows):
        y, greatest = top + index * ROW, max(row)
        draw.text((left, y + 2), record.label(index), fill=INK, font=font)
        draw.text((right - NUMBERS + 8, y + 2), f"{greatest:.3g}", fill=INK, font=font)
        x, column = left + NAMES, (right - NUMBERS - left - NAMES) / len(row)
        color = _shade(greatest, strongest) if greatest else BAR
        for step, (size, ran) in enumerate(zip(row, runs, strict=True)):
            x0, x1 = int(x + step * column), int(x + (step + 1) * column) - (2 if column > 3 else 1)
            height = (ROW - 5) * size / greatest if greatest else 0
            if height:
                fill = color if ran else dimmed(color)
                draw.rectangle((x0, y + ROW - 3 - height, max(x0, x1), y + ROW - 3), fill=fill)


def _shade(size: float, strongest: float) -> Color:
    share = 1 + math.log10(size / strongest) / DECADES
    light = 0.3 + 0.7 * max(share, 0.0)
    red, green, blue = (int(dark + (full - dark) * light) for dark, full in zip(PAPER, BAR, strict=True))
    return red, green, blue
