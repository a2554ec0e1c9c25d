"""A picture of the strengths over the steps: a row for each control, a bar for each step."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

ROW, MARGIN, LABEL, TEXT = 72, 12, 20, 13
"""Pixels: height of a control's bars, between rows, height of a line of text, size of its letters."""
ITEMS = 0.25
"""Share of the width for the strengths of the items, where they differ."""

Color = tuple[int, int, int]
PAPER, INK, SOFT, FAINT = (24, 24, 28), (230, 230, 230), (150, 150, 158), (70, 70, 78)
BAR, NEGATIVE, UNCOND, ITEM = (90, 170, 250), (240, 120, 90), (240, 180, 80), (130, 200, 140)
"""Colors of bars: strength above 0, below 0, beside the negative prompt where that differs, of an item."""
KEPT_LIGHT = 0.45
"""Brightness of a step's bar whose residuals are those of an earlier step."""

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Forecast:
    """The plan of one control.

    strengths: one for each step, 0 where it does not act. ran: at which steps its network runs; at the others that
    act it uses the residuals of the last run again. adaptive: it may run at fewer. cfg_weights: factors for the
    positive and the negative prompt. items: factor of each picture, where they differ and their number is known.
    notes: all else there is to say.
    """

    name: str
    strengths: tuple[float, ...]
    ran: tuple[bool, ...]
    adaptive: bool = False
    cfg_weights: tuple[float, float] = (1.0, 1.0)
    items: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def runs(self) -> int:
        return sum(self.ran)

    @property
    def summary(self) -> str:
        """How often it runs, in words."""
        most = "at most " if self.adaptive else ""
        return f"{self.name}: runs {most}{self.runs} of {len(self.strengths)} steps"

    def __str__(self) -> str:
        """A line with all strengths; those of kept residuals in brackets."""
        shown = [f"{s:.3g}" if ran or not s else f"({s:.3g})" for s, ran in zip(self.strengths, self.ran, strict=True)]
        return "; ".join((f"{self.summary}: {' '.join(shown)}", *self.notes))


def draw_plan(forecasts: Sequence[Forecast], width: int = 768) -> Tensor:
    """(1, H, width, 3) in 0..1. All forecasts are of one run, with the same number of steps.

    Bars are as high as the strength is beside the greatest of all; a step without a bar is one that does not run, a
    dim bar one that uses the residuals of an earlier step.
    """
    heights = [LABEL * (1 + bool(f.notes)) + ROW + MARGIN for f in forecasts]
    height = MARGIN + (sum(heights) or LABEL + ROW + MARGIN) + LABEL
    picture = Image.new("RGB", (width, height), PAPER)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(TEXT)
    greatest = max((abs(s) * max(f.cfg_weights) for f in forecasts for s in f.strengths), default=0) or 1.0
    top = MARGIN
    for forecast, own_height in zip(forecasts, heights, strict=True):
        draw.text((MARGIN, top), forecast.summary, fill=INK, font=font)
        if forecast.notes:
            draw.text((MARGIN, top + LABEL), "; ".join(forecast.notes), fill=SOFT, font=font)
        bars_top = top + own_height - MARGIN - ROW
        _draw_forecast(draw, forecast, greatest, (MARGIN, bars_top, width - MARGIN, bars_top + ROW))
        top += own_height
    draw.text((MARGIN, height - LABEL), _legend(forecasts, greatest), fill=SOFT, font=font)
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)[None]


def _legend(forecasts: Sequence[Forecast], greatest: float) -> str:
    steps = len(forecasts[0].strengths) if forecasts else 0
    parts = [f"steps 0 to {steps - 1}", f"full height is {greatest:.3g}"]
    if any(f.cfg_weights[0] != f.cfg_weights[1] for f in forecasts):
        parts.append("blue: positive, orange: negative prompt")
    if any(strength and not ran for f in forecasts for strength, ran in zip(f.strengths, f.ran, strict=True)):
        parts.append("dim: kept from the last run")
    if any(f.items for f in forecasts):
        parts.append("green: items")
    return "; ".join(parts)


def _draw_forecast(draw: ImageDraw.ImageDraw, forecast: Forecast, greatest: float, box: Box) -> None:
    left, top, right, bottom = box
    if forecast.items:
        split = right - int((right - left) * ITEMS)
        most = max(map(abs, forecast.items)) or 1.0
        _draw_bars(
            draw, [[(f / most, ITEM if f > 0 else NEGATIVE)] for f in forecast.items], (split, top, right, bottom)
        )
        right = split - MARGIN
    cond, uncond = forecast.cfg_weights
    bars = []
    for strength, ran in zip(forecast.strengths, forecast.ran, strict=True):
        cfg_weights = [(cond, BAR)] if cond == uncond else [(cond, BAR), (uncond, UNCOND)]
        parts = [(strength * factor / greatest, color if strength > 0 else NEGATIVE) for factor, color in cfg_weights]
        bars.append([(share, color if ran else dimmed(color)) for share, color in parts])
    _draw_bars(draw, bars, (left, top, right, bottom))


def _draw_bars(draw: ImageDraw.ImageDraw, bars: Sequence[Sequence[tuple[float, Color]]], box: Box) -> None:
    """bars: for each column its parts side by side, each a share of the height and a color."""
    left, top, right, bottom = box
    column = (right - left) / len(bars)
    gap = 1 if column > 3 else 0
    for index, parts in enumerate(bars):
        x0 = left + index * column
        x1 = max(x0 + column - 1 - gap, x0)
        draw.rectangle((x0, top, x1, bottom), outline=FAINT)
        for number, (share, color) in enumerate(parts):
            if share:
                a, b = (x0 + (x1 - x0) * (number + end) / len(parts) for end in (0, 1))
                draw.rectangle((a, bottom - max(abs(share) * (bottom - top), 1), b, bottom), fill=color)


def dimmed(color: Color) -> Color:
    """The color for a step that uses the residuals of an earlier one."""
    red, green, blue = (int(dark + (full - dark) * KEPT_LIGHT) for dark, full in zip(PAPER, color, strict=True))
    return red, green, blue
