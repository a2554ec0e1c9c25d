"""Turned squares of a picture, and the blending of detections."""

import math

import numpy as np
import pytest
import torch
from zeroconv.preprocessors.pose.blaze import PALM, PERSON, Region, detect, whole


@pytest.mark.parametrize("angle", [0.0, 0.4, math.pi / 2, -2.5])
def test_what_is_seen_in_a_region_is_found_in_the_picture(angle):
    """A spot of light at (70, 40) appears in the sample where `to_picture` sends back to (70, 40)."""
    y, x = np.mgrid[:90, :120]
    spot = np.exp(-((x + 0.5 - 70) ** 2 + (y + 0.5 - 40) ** 2) / 18).astype(np.float32)
    region = Region(64.0, 45.0, 60.0, angle)
    sample = region.sample(np.repeat(spot[..., None], 3, axis=2), 128)[0].numpy()
    rows, columns = np.mgrid[:128, :128]
    seen = np.array([(sample * (grid + 0.5)).sum() / sample.sum() for grid in (columns, rows)]) / 128
    assert region.to_picture(seen[None])[0] == pytest.approx([70, 40], abs=0.1)


@pytest.mark.parametrize("angle", [0.0, 1.1])
def test_a_large_picture_is_averaged_and_not_skipped(angle):
    """A chequerboard of single pixels is grey in a region that is 13 times smaller in the sample."""
    y, x = np.mgrid[:1500, :1700]
    board = np.repeat(((x + y) % 2).astype(np.float32)[..., None], 3, axis=2)
    sample = Region(800.0, 750.0, 832.0, angle).sample(board, 64)
    assert (sample - 0.5).abs().max() < 0.02


def test_a_spot_in_a_large_picture_is_found_where_it_is():
    y, x = np.mgrid[:1501, :1702]
    spot = np.exp(-((x + 0.5 - 900) ** 2 + (y + 0.5 - 700) ** 2) / 5000).astype(np.float32)
    region = Region(850.0, 750.0, 832.0, 0.7)
    sample = region.sample(np.repeat(spot[..., None], 3, axis=2), 64)[0].numpy()
    rows, columns = np.mgrid[:64, :64]
    seen = np.array([(sample * (grid + 0.5)).sum() / sample.sum() for grid in (columns, rows)]) / 64
    assert region.to_picture(seen[None])[0] == pytest.approx([900, 700], abs=1.5)


def test_the_whole_picture_is_centred_in_its_square():
    region = whole(np.zeros((100, 300, 3), np.float32))
    corners = region.to_picture(np.array([[0.0, 0.5], [1.0, 0.5], [0.5, 1 / 3]]))
    assert corners == pytest.approx(np.array([[0, 50], [300, 50], [150, 0]]))


class Known:
    """A detector that answers with rows made by hand."""

    def __init__(self, size, rows, count, numbers):
        self.size = size
        self.boxes, self.logits = torch.zeros(1, count, numbers), torch.full((1, count, 1), -50.0)
        for index, (row, logit) in rows.items():
            self.boxes[0, index], self.logits[0, index] = torch.tensor(row), logit

    def __call__(self, images):
        assert images.shape == (1, 3, self.size, self.size)
        return self.boxes, self.logits


def test_a_person_lying_to_the_right_is_turned_by_a_quarter():
    """Anchor 0 is at (4, 4) of 224. Hips there, head 50 pixels to the right: the square points its top to the right."""
    row = [0.0, 0.0, 10.0, 10.0, 0.0, 0.0, 50.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    network = Known(224, {0: (row, 5.0)}, 2254, 12)
    (region,) = detect(np.zeros((224, 224, 3), np.float32), Region(112, 112, 224), network, PERSON, 0.5)
    assert (region.x, region.y) == pytest.approx((4, 4), abs=1e-4)
    assert region.side == pytest.approx(2 * 50 * 1.25, abs=1e-3)
    assert region.to_picture(np.array([[0.5, 0.0]]))[0] == pytest.approx([4 + 62.5, 4], abs=1e-3)


def test_overlapping_detections_become_one_and_distant_ones_stay():
    points = [0.0] * 4 + [0.0, -20.0] + [0.0] * 8
    rows = {
        0: ([0.0, 0.0, 40.0, 40.0, *points], 4.0),
        1: ([2.0, 0.0, 40.0, 40.0, *points], 4.0),
        46: ([0.0, 0.0, 40.0, 40.0, *points], 3.0),
    }
    network = Known(192, rows, 2016, 18)
    found = detect(np.zeros((192, 192, 3), np.float32), Region(96, 96, 192), network, PALM, 0.5)
    assert len(found) == 2
    assert [region.side for region in found] == pytest.approx([40 * 2.6] * 2, abs=1e-3)
    assert found[0].x == pytest.approx(4 + 1, abs=0.01)  # between the two, at the wrist's height less half a palm
    assert found[0].y == pytest.approx(4 - 20, abs=0.01)


def test_nothing_above_the_minimum_is_nothing():
    network = Known(192, {}, 2016, 18)
    assert detect(np.zeros((50, 60, 3), np.float32), Region(30, 25, 60), network, PALM, 0.5) == []
