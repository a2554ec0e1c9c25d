"""A picture of the strengths over the steps: a row for each control, a bar for each step."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

ROW, MARGIN, LABEL = 72, 12, 18
"""Heights in pixels: of a control's bars, between rows, of a line of text."""

PAPER, INK, FAINT, BAR, NEGATIVE = (24, 24, 28), (230, 230, 230), (70, 70, 78), (90, 170, 250), (240, 120, 90)


def draw_plan(names: Sequence[str], strengths: Sequence[Sequence[float]], width: int = 768) -> Tensor:
    """(1, H, width, 3) in 0..1. strengths: of each control at every step; the same number of steps for all.

    Bars are as high as the strength is beside the greatest of all; a step without a bar is one that does not run.
    """
    rows = max(len(names), 1)
    height = MARGIN + rows * (LABEL + ROW + MARGIN) + LABEL
    picture = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(picture)
    greatest = max((abs(s) for row in strengths for s in row), default=0) or 1.0
    for index, (name, row) in enumerate(zip(names, strengths, strict=True)):
        top = MARGIN + index * (LABEL + ROW + MARGIN)
        runs = sum(strength != 0 for strength in row)
        draw.text((MARGIN, top), f"{name}: runs {runs} of {len(row)} steps", fill=INK)
        _draw_bars(draw, [s / greatest for s in row], (MARGIN, top + LABEL, width - MARGIN, top + LABEL + ROW))
    steps = len(strengths[0]) if strengths else 0
    draw.text((MARGIN, height - LABEL), f"steps 0 to {steps - 1}; full height is {greatest:.3g}", fill=INK)
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)[None]


def _draw_bars(draw: ImageDraw.ImageDraw, shares: Sequence[float], box: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = box
    step = (right - left) / len(shares)
    gap = 1 if step > 3 else 0
    for index, share in enumerate(shares):
        x0, x1 = left + index * step, max(left + (index + 1) * step - 1 - gap, left + index * step)
        draw.rectangle((x0, top, x1, bottom), outline=FAINT)
        if share:
            y = bottom - max(abs(share) * (bottom - top), 1)
            draw.rectangle((x0, y, x1, bottom), fill=BAR if share > 0 else NEGATIVE)
