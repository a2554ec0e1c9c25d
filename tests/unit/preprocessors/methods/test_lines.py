"""The methods for lines and edges: what they make of a network's answer."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from zeroconv.benchmarks.models.official_weights import random_state_dict
from zeroconv.preprocessors.line_maps import reduce_levels
from zeroconv.preprocessors.methods.lineart import LINEART_ANIME, LINEART_COARSE, LINEART_MANGA, LINEART_REALISTIC
from zeroconv.preprocessors.methods.lineart_standard import lineart_standard
from zeroconv.preprocessors.methods.lines_mlsd import MLSD, MLSD_TINY, decode_lines, draw_lines
from zeroconv.preprocessors.methods.scribble_from_photo import SCRIBBLE_HED, SCRIBBLE_PIDINET, scribble_from_edges
from zeroconv.preprocessors.methods.soft_edges import HED, PIDINET, TEED
from zeroconv.preprocessors.methods.soft_edges_anyline import ANYLINE, merge, remove_specks
from zeroconv.preprocessors.networks import mlsd
from zeroconv.preprocessors.running import Options, preprocess

GREY_METHODS = (
    HED, PIDINET, TEED, SCRIBBLE_HED, SCRIBBLE_PIDINET,
    LINEART_REALISTIC, LINEART_COARSE, LINEART_ANIME, LINEART_MANGA, ANYLINE,
)  # fmt: skip


class Brightness(nn.Module):
    """Stands in for a network: a pixel's green is its edge. Notes the sizes it is given."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.seen = []

    def forward(self, images):
        self.seen.append(tuple(images.shape))
        return images[:, 1:2]


@pytest.mark.parametrize("method", GREY_METHODS, ids=lambda method: method.id)
def test_one_forward_for_the_batch_at_a_size_the_network_takes(method):
    network, rows = Brightness(), []

    def networks(row):
        rows.append(row)
        return network

    hints = preprocess(method, torch.rand(2, 37, 53, 3), networks, options=Options(chunk=2)).image
    assert hints.shape == (2, 37, 53, 3)
    assert set(rows) == set(method.weights)
    assert [seen[:2] for seen in network.seen] == [(2, 3)]
    assert all(side % method.multiple_of == 0 for side in network.seen[0][2:])
    assert torch.equal(hints[..., 0], hints[..., 2])


@pytest.mark.parametrize("method", [HED, PIDINET, LINEART_REALISTIC, LINEART_ANIME, LINEART_MANGA])
def test_grey_values_pass_without_rounding_to_8_bits(method):
    images = torch.rand(1, 32, 32, 3)
    hints = preprocess(method, images, lambda row: Brightness()).image
    torch.testing.assert_close(hints[..., 0], images[..., 1], rtol=0, atol=1e-6)


@given(value=st.floats(0, 1, width=32), steps=st.integers(1, 10))
def test_safe_levels_are_the_annotators(value, steps):
    level = reduce_levels(torch.tensor([value]), steps).item()
    assert level == pytest.approx(min(1, int(np.float32(value) * np.float32(steps + 1)) / steps))


def test_safe_edges_are_black_grey_and_white():
    images = torch.rand(1, 32, 32, 3)
    hints = preprocess(HED, images, lambda row: Brightness(), {"safe": True}).image
    assert hints.unique().tolist() == [0, 0.5, 1]
    assert preprocess(HED, images, lambda row: Brightness()).image.unique().numel() > 500


def test_a_contour_becomes_one_stroke_along_it():
    edges = torch.zeros(1, 64, 64)
    edges[:, :, 28:37] = 1
    strokes = scribble_from_edges(edges)[0, ..., 0]
    assert strokes.unique().tolist() == [0, 1]
    widths = strokes.sum(dim=1)
    assert (widths == widths[0]).all()
    assert 9 <= widths[0] <= 21
    columns = strokes[32].nonzero().flatten().float()
    assert columns.mean() == 32


def test_weak_edges_give_no_stroke():
    assert scribble_from_edges(torch.full((1, 32, 32), 0.49)).sum() == 0


def maps_of(lines, height=32, width=48):
    """The network's answer to (x, y, score, x0, y0, x1, y1) in map pixels: the ends as seen from the centre."""
    maps = torch.zeros(1, 5, height, width)
    maps[:, 0] = -20
    for x, y, score, *ends in lines:
        maps[0, 0, y, x] = torch.logit(torch.tensor(score))
        maps[0, 1:, y, x] = torch.tensor(ends)
    return maps


def test_lines_are_decoded_surest_first_in_pixels_of_the_picture():
    maps = maps_of([(10, 8, 0.6, -4.0, 1.0, 5.0, -1.5), (30, 20, 0.9, 0.0, -6.0, 0.0, 6.0)])
    (lines,) = decode_lines(maps, 0.1, 0.1, 200)
    expected = torch.tensor([[60.0, 28, 60, 52], [12, 18, 30, 13]])
    torch.testing.assert_close(lines, expected)


@pytest.mark.parametrize(("score", "length", "most", "left"), [(0.7, 0.1, 200, 1), (0.1, 11, 200, 1), (0.1, 0.1, 1, 1)])
def test_thresholds_leave_out_lines(score, length, most, left):
    maps = maps_of([(10, 8, 0.6, -4.0, 1.0, 5.0, -1.5), (30, 20, 0.9, 0.0, -6.0, 0.0, 6.0)])
    assert len(decode_lines(maps, score, length, most)[0]) == left


def test_a_weaker_centre_beside_a_stronger_one_is_no_line():
    maps = maps_of([(10, 8, 0.6, -4.0, 0.0, 5.0, 0.0), (11, 9, 0.9, -4.0, 0.0, 5.0, 0.0)])
    assert len(decode_lines(maps, 0.1, 0.1, 200)[0]) == 1


def test_each_picture_of_a_batch_has_its_own_lines_and_none_is_no_error():
    maps = torch.cat([maps_of([]), maps_of([(10, 8, 0.6, -4.0, 0.0, 5.0, 0.0)])])
    lines = decode_lines(maps, 0.1, 0.1, 200)
    assert [len(found) for found in lines] == [0, 1]
    drawings = draw_lines(lines, 64, 96)
    assert drawings.shape == (2, 64, 96, 3)
    assert drawings[0].sum() == 0
    assert drawings[1, 16, 12:31, 0].tolist() == [1.0] * 19
    assert drawings[1, ..., 0].sum() == 19


def test_larger_pictures_may_have_more_lines():
    class Everywhere(Brightness):
        def forward(self, images):
            maps = torch.zeros(1, 5, images.shape[2] // 2, images.shape[3] // 2)
            maps[:, 0, ::4, ::4] = 5
            maps[:, 3] = 1
            return maps

    def lines(method, most):
        hint = preprocess(method, torch.zeros(1, 1024, 1024, 3), lambda row: Everywhere(), {"most_lines": most}).image
        return int(hint[..., 0].sum()) // 3

    assert lines(MLSD, 0) == 800
    assert lines(MLSD, 200) == 200


def test_mlsd_runs_on_both_sizes_of_network():
    images = torch.rand(2, 40, 50, 3)
    for method, build in ((MLSD, mlsd.build_large), (MLSD_TINY, mlsd.build_tiny)):
        network = build(random_state_dict(method.weights[0]))
        hints = preprocess(method, images, lambda row, network=network: network, options=Options(chunk=2)).image
        assert hints.shape == images.shape
        assert hints.unique().tolist() == [0, 1]


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), smallest=st.integers(1, 40), diagonal=st.booleans())
def test_specks_are_those_of_scikit_image(seed, smallest, diagonal):
    from skimage.measure import label, regionprops

    lines = torch.rand(2, 30, 40, generator=torch.Generator().manual_seed(seed))
    lines = lines.where(lines > 0.5, 0)
    kept = remove_specks(lines, smallest, diagonal)
    for drawing, result in zip(lines.numpy(), kept.numpy(), strict=True):
        expected = drawing.copy()
        for region in regionprops(label(drawing > 0, connectivity=2 if diagonal else 1)):
            if region.area < smallest:
                expected[tuple(region.coords.T)] = 0
        np.testing.assert_array_equal(result, expected)


def test_merging_is_never_darker_and_black_changes_nothing():
    edges, lines = torch.rand(2, 8, 8), torch.rand(2, 8, 8)
    merged = merge(edges, lines)
    assert (merged >= torch.maximum(edges, lines) - 1e-6).all()
    assert merged.max() <= 1
    torch.testing.assert_close(merge(edges, torch.zeros_like(lines)), edges)


def test_anyline_is_edges_and_a_line_drawing_without_specks():
    images = torch.rand(1, 40, 56, 3, generator=torch.Generator().manual_seed(0))
    hint = preprocess(ANYLINE, images, lambda row: Brightness()).image
    lines = remove_specks(lineart_standard(images, 2.0, 3.0)[..., 0], 12, False)
    torch.testing.assert_close(hint[..., 0], merge(reduce_levels(images[..., 1], 2), lines))


@pytest.mark.parametrize("drawing", ["lineart_realistic", "lineart_anime", "lineart_manga"])
def test_anyline_asks_for_a_drawings_weights_only_when_chosen(drawing):
    rows = []

    def networks(row):
        rows.append(row)
        return Brightness()

    images = torch.rand(1, 37, 53, 3)
    hint = preprocess(ANYLINE, images, networks, {"merge_with": drawing, "lower_bound": 1.0, "upper_bound": 1.0}).image
    assert hint.shape == images.shape
    assert len(rows) == 2
    torch.testing.assert_close(hint[..., 1], reduce_levels(images[..., 1], 2))
