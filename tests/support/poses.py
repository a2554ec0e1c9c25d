"""Texts of the pose editor: one person, and some that must be refused."""

import json
from collections.abc import Sequence


def document(body: Sequence[float], width: int = 512, height: int = 512) -> str:
    """One person with these body joints: x, y, score in turn."""
    people = [{"pose_keypoints_2d": list(body)}]
    return json.dumps({"canvas_width": width, "canvas_height": height, "people": people})


def _people(people: str) -> str:
    return f'{{"canvas_width": 512, "canvas_height": 512, "people": {people}}}'


HOSTILE_POSES = [
    "{",
    "[]",
    "null",
    "[" * 100_000,
    "{}",
    '{"canvas_width": 63, "canvas_height": 512, "people": []}',
    '{"canvas_width": 512, "canvas_height": 1e9, "people": []}',
    '{"canvas_width": true, "canvas_height": 512, "people": []}',
    _people("{}"),
    _people('["<script>alert(1)</script>"]'),
    _people("[" + ",".join(["{}"] * 101) + "]"),
    _people("[]") + " " * 1_000_000,
    *(
        _people(f'[{{"pose_keypoints_2d": {numbers}}}]')
        for numbers in (
            '"<img src=x onerror=alert(1)>"',
            "[1, 2]",
            "[NaN, 1, 1]",
            "[1e308, 1, 1]",
            "[1, -Infinity, 1]",
            '["1", 1, 1]',
            "[true, 1, 1]",
            "[1, 1, 2]",
            "[1, 1, -1]",
            json.dumps([1, 1, 1] * 19),
        )
    ),
]
"""What a workflow file could hold in the place of poses."""
