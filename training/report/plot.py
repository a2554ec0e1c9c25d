"""Draws the curves of a training."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

WIDTH, PANEL, MARGIN = 640, 200, 44
LINE_COLORS = ((31, 119, 180), (214, 39, 40), (127, 127, 127))


@dataclass(frozen=True)
class Series:
    """A named line. points: (step, value), in the order of steps."""

    name: str
    points: Sequence[tuple[int, float]]


def plot(panels: Sequence[Sequence[Series]]) -> Image.Image:
    """Draw panels one below the other, each with its curves on one scale; panels without points are left out."""
    shown = [curves for curves in panels if any(curve.points for curve in curves)]
    image = Image.new("RGB", (WIDTH, max(1, len(shown)) * PANEL), "white")
    draw = ImageDraw.Draw(image)
    for number, curves in enumerate(shown):
        _draw_panel(draw, curves, number * PANEL)
    return image


def _draw_panel(draw: ImageDraw.ImageDraw, curves: Sequence[Series], top: int) -> None:
    points = [point for curve in curves for point in curve.points]
    steps, values = [p[0] for p in points], [p[1] for p in points]
    left, right, upper, lower = MARGIN + 16, WIDTH - MARGIN, top + 28, top + PANEL - 28
    low, high = min(values), max(values)
    span, run = (high - low) or 1.0, (max(steps) - min(steps)) or 1

    def place(point: tuple[int, float]) -> tuple[float, float]:
        across = left + (point[0] - min(steps)) / run * (right - left)
        return across, lower - (point[1] - low) / span * (lower - upper)

    draw.rectangle((left, upper, right, lower), outline=(200, 200, 200))
    for value, height in ((high, upper), (low, lower)):
        draw.text((4, height - 6), f"{value:.3g}", fill="black")
    draw.text((left, lower + 6), str(min(steps)), fill="black")
    draw.text((right - 24, lower + 6), str(max(steps)), fill="black")
    across = left
    for curve, color in zip(curves, LINE_COLORS, strict=False):
        draw.text((across, top + 8), curve.name, fill=color)
        across += int(draw.textlength(curve.name)) + 20
        placed = [place(point) for point in curve.points]
        if len(placed) > 1:
            draw.line(placed, fill=color, width=2)
        elif placed:
            x, y = placed[0]
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=color)
