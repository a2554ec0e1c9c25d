"""How templates look before anything runs: a title, a card, and a first view with the whole graph in it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from zeroconv.comfy_client.server import REPOSITORY

TEMPLATES = sorted((REPOSITORY / "workflows").glob("*.json"))
LARGEST = (2050, 1300)
"""Width and height of a graph, in its own pixels."""
WINDOW = (1600, 1000)
"""A small screen, in pixels of the page, below the browser's bars."""
BARS = (70, 90)
"""Left and top: what the front end's own bars cover, with the title bar of a node below them."""
LEAST_SCALE = 0.65
"""Below it the front end draws boxes in place of text."""
TITLE_BAR = 30


def opened(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def test_titles_are_numbered_in_an_order_that_teaches() -> None:
    """The front end shows a template by the name of its file, and sorts by it."""
    for place, path in enumerate(TEMPLATES, start=1):
        assert re.fullmatch(rf"{place:02} [A-Z][A-Za-z ()]+", path.stem)


def test_each_has_a_square_card() -> None:
    assert {path.stem for path in TEMPLATES} == {path.stem for path in TEMPLATES[0].parent.glob("*.jpg")}
    for path in TEMPLATES:
        with Image.open(path.with_suffix(".jpg")) as card:
            assert card.width == card.height >= 384, path.stem


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_the_first_view_shows_the_whole_graph(path: Path) -> None:
    workflow = opened(path)
    boxes = [(*node["pos"], *node["size"]) for node in workflow["nodes"]]
    boxes = [(x, y - TITLE_BAR, x + width, y + height) for x, y, width, height in boxes]
    boxes += [(x, y, x + width, y + height) for x, y, width, height in (g["bounding"] for g in workflow["groups"])]
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    low, high = (min(lefts), min(tops)), (max(rights), max(bottoms))
    view = workflow["extra"]["ds"]
    assert view["scale"] >= LEAST_SCALE
    for axis in range(2):
        assert high[axis] - low[axis] <= LARGEST[axis]
        assert (low[axis] + view["offset"][axis]) * view["scale"] >= BARS[axis]
        assert (high[axis] + view["offset"][axis]) * view["scale"] <= WINDOW[axis]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_nodes_lie_beside_each_other_inside_their_groups(path: Path) -> None:
    workflow = opened(path)
    nodes = [(*node["pos"], *node["size"]) for node in workflow["nodes"]]
    nodes = [(x, y - TITLE_BAR, x + width, y + height) for x, y, width, height in nodes]
    for place, (left, top, right, bottom) in enumerate(nodes):
        for other in nodes[:place]:
            assert left >= other[2] or right <= other[0] or top >= other[3] or bottom <= other[1]
    groups = [(x, y, x + width, y + height) for x, y, width, height in (g["bounding"] for g in workflow["groups"])]
    for left, top, right, bottom in nodes if groups else ():
        assert any(left > g[0] and top > g[1] and right < g[2] and bottom < g[3] for g in groups)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_notes_are_short_and_titled(path: Path) -> None:
    notes = [node for node in opened(path)["nodes"] if node["type"] == "MarkdownNote"]
    assert [note["title"] for note in notes] == ["How it works"]
    assert len(notes[0]["widgets_values"][0]) <= 560
