"""Drawings as text and as pixels."""

import json
import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from support.drawings import HOSTILE
from zeroconv.comfy_client.server import REPOSITORY
from zeroconv.preprocessors.palettes import ade20k
from zeroconv.preprocessors.sketch.drawing import Drawing, Stroke, parse_drawing
from zeroconv.preprocessors.sketch.strokes import render

PEN = {"tool": "pen", "color": "#ffffff", "size": 20, "points": [30, 40, 90, 70]}


def drawing(*strokes: dict, **fields: object) -> Drawing:
    return parse_drawing(json.dumps({"version": 1, "width": 128, "height": 96, **fields, "strokes": strokes}))


def mask(*strokes: dict, **fields: object) -> np.ndarray:
    return render(drawing(*strokes, **fields))[1][0].numpy()


def capsule(x: float, y: float, x2: float, y2: float, radius: float) -> np.ndarray:
    """Share of each pixel within a radius of a line, counted on 16 x 16 points in it."""
    samples = 16
    py, px = np.mgrid[0 : 96 * samples, 0 : 128 * samples] / samples + 0.5 / samples
    direction = np.array([x2 - x, y2 - y])
    along = np.clip(((px - x) * direction[0] + (py - y) * direction[1]) / (direction @ direction), 0, 1)
    inside = np.hypot(px - x - along * direction[0], py - y - along * direction[1]) <= radius
    return inside.reshape(96, samples, 128, samples).mean(axis=(1, 3))


def test_line_covers_what_geometry_says() -> None:
    difference = np.abs(mask(PEN) - capsule(30, 40, 90, 70, 10))
    assert difference.max() < 0.15
    assert mask(PEN).sum() == pytest.approx(math.hypot(60, 30) * 20 + math.pi * 100, rel=0.005)


def test_dot_has_the_area_of_a_circle() -> None:
    assert mask({**PEN, "points": [60, 50]}).sum() == pytest.approx(math.pi * 100, rel=0.01)


def test_pressure_tapers_evenly() -> None:
    tapered = mask({**PEN, "points": [20, 48, 100, 48], "pressure": [1, 0]})
    widths = tapered.sum(axis=0)
    assert widths[[30, 50, 70, 90]] == pytest.approx(
        [20 * (100 - column - 0.5) / 80 for column in (30, 50, 70, 90)], abs=0.4
    )


def test_full_pressure_is_the_plain_stroke() -> None:
    assert (mask({**PEN, "pressure": [1, 1]}) == mask(PEN)).all()


def test_overlap_within_a_stroke_does_not_thicken_its_edge() -> None:
    there_and_back = {**PEN, "points": [*PEN["points"], *PEN["points"]]}
    assert (mask(there_and_back) == mask(PEN)).all()


@pytest.mark.parametrize(("mirror", "axes"), [("x", [(1,)]), ("y", [(0,)]), ("xy", [(0,), (1,), (0, 1)])])
def test_mirror_is_the_flipped_picture_too(mirror: str, axes: list[tuple[int, ...]]) -> None:
    expected = np.max([mask(PEN), *(np.flip(mask(PEN), axis) for axis in axes)], axis=0)
    assert (mask({**PEN, "mirror": mirror}) == expected).all()


def test_strokes_lie_over_each_other_as_porter_and_duff_say() -> None:
    red = {**PEN, "color": "#ff0000"}
    blue = {**PEN, "color": "#0000ff", "points": [90, 20, 30, 80]}
    image, _ = render(drawing(red, blue, paper="#00ff00"))
    first, second = mask(red)[..., None], mask(blue)[..., None]
    under = np.array([1, 0, 0]) * first + np.array([0, 1, 0]) * (1 - first)
    expected = np.array([0, 0, 1]) * second + under * (1 - second)
    assert np.abs(image[0].numpy() - expected).max() < 2 / 255


def test_eraser_takes_away_what_it_covers() -> None:
    eraser = {"tool": "eraser", "size": 14, "points": [60, 0, 60, 96]}
    left = mask(PEN, eraser)
    assert np.abs(left - mask(PEN) * (1 - mask({**eraser, "tool": "pen"}))).max() < 2 / 255
    assert not left[:, 55:65].any()


def test_fill_reaches_the_connected_region() -> None:
    ring = {**PEN, "size": 4, "points": [20, 20, 80, 20, 80, 70, 20, 70, 20, 20]}
    outline = mask(ring)
    labels, _ = ndimage.label(outline < 128 / 255)
    filled = mask(ring, {"tool": "fill", "color": "#04c803", "points": [50.5, 40.5]})
    assert (filled[labels == labels[40, 50]] == 1).all()
    assert (filled[labels != labels[40, 50]] == outline[labels != labels[40, 50]]).all()
    image, _ = render(drawing(ring, {"tool": "fill", "color": "#04c803", "points": [50.5, 40.5]}))
    assert (image[0, 40, 50] * 255).round().tolist() == [4, 200, 3]


def test_fill_outside_of_the_canvas_does_nothing() -> None:
    assert not mask({"tool": "fill", "points": [500, 10]}).any()


def test_scaled_drawing_is_the_scaled_picture() -> None:
    small, large = drawing(PEN), drawing(PEN).scaled(256, 192)
    reduced = torch.nn.functional.avg_pool2d(render(large)[1], 2)
    assert (reduced - render(small)[1]).abs().max() < 0.16
    assert (large.width, large.height) == (256, 192)


def test_empty_text_is_an_empty_black_canvas() -> None:
    image, empty = render(parse_drawing(" "))
    assert image.shape == (1, 512, 512, 3)
    assert not image.any()
    assert not empty.any()


def test_progress_counts_strokes() -> None:
    seen: list[tuple[int, int]] = []
    render(drawing(PEN, PEN), lambda done, total: seen.append((done, total)))
    assert seen == [(0, 2), (1, 2), (2, 2)]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w{4,}") as refusal:
        parse_drawing(text)
    assert len(str(refusal.value)) < 300


def test_picker_shows_the_palette() -> None:
    rows = json.loads((REPOSITORY / "js" / "sketch" / "ade20k.json").read_text(encoding="utf-8"))
    colors = [list(bytes.fromhex(color[1:])) for _, color in rows]
    assert torch.equal(torch.tensor(colors) / 255, ade20k())
    assert len({name for name, _ in rows}) == 150


def test_a_cancel_ends_a_stroke_between_two_points():
    points = tuple((8.0 * (number % 2), float(number), 4.0) for number in range(40))
    drawing = Drawing(64, 64, (0, 0, 0), (Stroke("pen", (255, 255, 255), points, "xy"),))
    asked = []

    def cancel(done, total):
        asked.append((done, total))
        if len(asked) == 100:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        render(drawing, cancel)
    assert set(asked) == {(0, 1)}


def test_a_drawing_that_is_too_much_work_at_another_size_is_refused():
    """It is drawn in no time at 64 x 64; at 2048 x 2048 each line touches a thousand times as many pixels."""
    points = [value for number in range(200) for value in ((0, 0) if number % 2 else (64, 64))]
    stroke = {"tool": "pen", "size": 60, "points": points, "mirror": "xy"}
    drawing = parse_drawing(json.dumps({"version": 1, "width": 64, "height": 64, "strokes": [stroke] * 4}))
    with pytest.raises(ValueError, match="2048 x 2048"):
        drawing.scaled(2048, 2048)
