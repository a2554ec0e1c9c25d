"""A drawing as data: strokes in pixels of a canvas, as the sketch pad writes them into a workflow.

The text is JSON, version 1:

    {"version": 1, "width": 512, "height": 512, "paper": "#000000", "strokes": [
        {"tool": "pen", "color": "#ffffff", "size": 8, "points": [10, 10, 90.5, 40], "pressure": [0.5, 1]},
        {"tool": "eraser", "size": 20, "points": [50, 50], "mirror": "x"},
        {"tool": "fill", "color": "#04c803", "points": [300, 300]}]}

`points` are x, y in turn, from the top left corner; `size` is a diameter; `pressure` scales it at each point;
`mirror` repeats the stroke across the middle of the canvas. Both sides refuse what does not fit this description:
js/sketch/drawing.js reads the same format with the same limits.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SMALLEST, LARGEST = 64, 2048
"""Edges of a canvas in pixels."""
LARGEST_BRUSH = 512.0
FARTHEST = 4096.0
"""How far outside of the canvas a stroke may go, in pixels."""
LARGEST_TEXT = 1_000_000
"""Characters: a workflow with a drawing stays a file that opens at once."""
MOST_STROKES = 20_000
MOST_WORK = 4e9
"""Pixels that all strokes together may touch, a pixel once for each line over it: a minute of work."""
TOOLS = ("pen", "eraser", "fill")
MIRRORS = ("", "x", "y", "xy")
_COLOR = re.compile(r"#[0-9a-f]{6}\Z")
_FIELDS = {"tool", "color", "size", "points", "pressure", "mirror"}

Color = tuple[int, int, int]
Point = tuple[float, float, float]
"""x, y and radius, in pixels."""


@dataclass(frozen=True)
class Stroke:
    """One movement of a tool. A fill has one point, from which it spreads; an eraser's colour means nothing."""

    tool: str
    color: Color
    points: tuple[Point, ...]
    mirror: str = ""


@dataclass(frozen=True)
class Drawing:
    """Strokes in the order in which they were drawn, on paper of one colour."""

    width: int = 512
    height: int = 512
    paper: Color = (0, 0, 0)
    strokes: tuple[Stroke, ...] = ()

    def scaled(self, width: int, height: int) -> "Drawing":
        """The same drawing on a canvas of another size: points stretch with it, brushes by the mean of both axes."""
        if (width, height) == (self.width, self.height):
            return self
        x_scale, y_scale = width / self.width, height / self.height
        radius_scale = math.sqrt(x_scale * y_scale)
        strokes = tuple(
            Stroke(
                stroke.tool,
                stroke.color,
                tuple((x * x_scale, y * y_scale, radius * radius_scale) for x, y, radius in stroke.points),
                stroke.mirror,
            )
            for stroke in self.strokes
        )
        return Drawing(width, height, self.paper, strokes)


def parse_drawing(text: str) -> Drawing:
    """Read a drawing; an empty text is an empty black canvas of 512 x 512. Raises ValueError saying what is wrong."""
    if not text.strip():
        return Drawing()
    if len(text) > LARGEST_TEXT:
        raise ValueError(f"The drawing has {len(text):,} characters; at most {LARGEST_TEXT:,} are read. Simplify it.")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The drawing is not JSON ({error}). Clear the sketch pad to start anew.") from None
    if not isinstance(value, dict) or value.get("version") != 1:
        raise ValueError("This is not a drawing of version 1: update ZeroConv, or clear the sketch pad.")
    strokes = value.get("strokes", [])
    if not isinstance(strokes, list) or len(strokes) > MOST_STROKES:
        raise ValueError(f"The drawing's strokes must be a list of at most {MOST_STROKES:,}.")
    drawing = Drawing(
        _edge(value, "width"),
        _edge(value, "height"),
        _color(value.get("paper", "#000000"), "The paper"),
        tuple(_stroke(stroke, f"Stroke {place}") for place, stroke in enumerate(strokes, 1)),
    )
    if sum(_work(stroke, drawing.width, drawing.height) for stroke in drawing.strokes) > MOST_WORK:
        raise ValueError("The drawing has too many wide strokes to be drawn in a minute. Undo or clear some.")
    return drawing


def _work(stroke: Stroke, width: int, height: int) -> float:
    """Pixels that a stroke touches, as MOST_WORK counts them."""
    size = 2 * max(radius for _, _, radius in stroke.points) + 2
    pixels = sum(
        min(width, abs(x2 - x) + size) * min(height, abs(y2 - y) + size)
        for (x, y, _), (x2, y2, _) in zip(stroke.points, stroke.points[1:], strict=False)
    )
    return (pixels + (width * height if stroke.tool == "fill" else 0)) * 2 ** len(stroke.mirror)


def _edge(value: Mapping[str, Any], name: str) -> int:
    edge = value.get(name, 512)
    if type(edge) is not int or not SMALLEST <= edge <= LARGEST:
        raise ValueError(f"The canvas {name} is {_shown(edge)}: a whole number from {SMALLEST} to {LARGEST} is needed.")
    return edge


def _stroke(value: Any, where: str) -> Stroke:
    if not isinstance(value, dict) or not _FIELDS.issuperset(value):
        raise ValueError(f"{where} of the drawing is {_shown(value)}: only {', '.join(sorted(_FIELDS))} may be in it.")
    tool, mirror = value.get("tool"), value.get("mirror", "")
    if tool not in TOOLS:
        raise ValueError(f"{where} has the tool {_shown(tool)}: one of {', '.join(TOOLS)} is needed.")
    if mirror not in MIRRORS:
        raise ValueError(f"{where} has the mirror {_shown(mirror)}: one of x, y, xy is needed.")
    color = _color(value.get("color", "#ffffff"), where)
    size = _number(value.get("size", 1), 0.5, LARGEST_BRUSH, f"{where}: size")
    numbers = value.get("points")
    if not isinstance(numbers, list) or not numbers or len(numbers) % 2 or (tool == "fill" and len(numbers) != 2):
        raise ValueError(f"{where}: points must be a list x, y, x, y ..., of one point for a fill.")
    places = [_number(number, -FARTHEST, LARGEST + FARTHEST, f"{where}: a point") for number in numbers]
    pressure = value.get("pressure", [1] * (len(places) // 2))
    if not isinstance(pressure, list) or len(pressure) != len(places) // 2:
        raise ValueError(f"{where}: pressure must be a list with one number for each point.")
    radii = [size / 2 * _number(number, 0, 1, f"{where}: a pressure") for number in pressure]
    return Stroke(tool, color, tuple(zip(places[::2], places[1::2], radii, strict=True)), mirror)


def _number(value: Any, low: float, high: float, what: str) -> float:
    if type(value) not in (int, float) or not low <= value <= high:
        raise ValueError(f"{what} is {_shown(value)}: a number from {low:g} to {high:g} is needed.")
    return float(value)


def _color(value: Any, where: str) -> Color:
    if not isinstance(value, str) or not _COLOR.match(value):
        raise ValueError(f"{where} has the colour {_shown(value)}: it must be written like #04c803.")
    red, green, blue = bytes.fromhex(value[1:])
    return red, green, blue


def _shown(value: Any) -> str:
    """A strange value, short enough for a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
