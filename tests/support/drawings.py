"""Texts of drawings: some that must be refused, and scribbles by chance."""

import json
import random
from typing import Any

HOSTILE = [
    "{",
    "[]",
    "null",
    "[" * 100_000,
    '{"version": 2}',
    '{"version": 1, "width": 63}',
    '{"version": 1, "width": 1e9}',
    '{"version": 1, "width": true}',
    '{"version": 1, "height": NaN}',
    '{"version": 1, "paper": "url(//example.org)"}',
    '{"version": 1, "paper": "#00000\\n0"}',
    '{"version": 1, "strokes": {}}',
    '{"version": 1, "strokes": ["<script>alert(1)</script>"]}',
    '{"version": 1, "strokes": []}' + " " * 1_000_000,
    json.dumps({"version": 1, "strokes": [{"tool": "pen", "size": 512, "points": [1, 1] * 80_000}]}),
    *(
        '{"version": 1, "strokes": [' + stroke + "]}"
        for stroke in (
            "7",
            '{"tool": "pen"}',
            '{"tool": "rm", "points": [1, 1]}',
            '{"tool": ["pen"], "points": [1, 1]}',
            '{"tool": "pen", "points": [1]}',
            '{"tool": "pen", "points": [NaN, 1]}',
            '{"tool": "pen", "points": [1e308, 1]}',
            '{"tool": "pen", "points": [Infinity, 1]}',
            '{"tool": "pen", "points": ["1", 1]}',
            '{"tool": "pen", "points": [true, 1]}',
            '{"tool": "pen", "points": [1, 1], "size": -1}',
            '{"tool": "pen", "points": [1, 1], "size": 1e6}',
            '{"tool": "pen", "points": [1, 1], "pressure": [2]}',
            '{"tool": "pen", "points": [1, 1], "pressure": []}',
            '{"tool": "pen", "points": [1, 1], "color": "red"}',
            '{"tool": "pen", "points": [1, 1], "mirror": "z"}',
            '{"tool": "pen", "points": [1, 1], "onclick": "alert(1)"}',
            '{"tool": "fill", "points": [1, 1, 2, 2]}',
        )
    ),
]
"""What a workflow file could hold in the place of a drawing."""


def scribble(seed: int, strokes: int, width: int = 160, height: int = 128) -> str:
    """A drawing with strokes of all tools, colors, mirrors and pressures by chance."""
    chance = random.Random(seed)
    drawn = [_stroke(chance, width, height) for _ in range(strokes)]
    return json.dumps({"version": 1, "width": width, "height": height, "paper": "#000000", "strokes": drawn})


def _stroke(chance: random.Random, width: int, height: int) -> dict[str, Any]:
    tool = chance.choice(["pen", "pen", "pen", "eraser", "fill"])
    count = 1 if tool == "fill" else chance.randint(1, 8)
    places = [round(chance.uniform(-9, edge + 9), 1) for _ in range(count) for edge in (width, height)]
    stroke: dict[str, Any] = {"tool": tool, "points": places, "mirror": chance.choice(["", "x", "y", "xy"])}
    if tool != "eraser":
        stroke["color"] = f"#{chance.randrange(2**24):06x}"
    if tool != "fill":
        stroke["size"] = round(chance.uniform(0.5, 30), 1)
    if chance.random() < 0.5:
        stroke["pressure"] = [round(chance.random(), 2) for _ in range(count)]
    return stroke
