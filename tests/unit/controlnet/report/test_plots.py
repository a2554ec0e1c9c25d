"""What a control did, as numbers and pictures; where two pictures differ."""

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from zeroconv.controlnet.report.difference import image_difference, latent_difference
from zeroconv.controlnet.report.record import Record
from zeroconv.controlnet.report.record_plot import NAMES, NUMBERS, ControlRecord, draw_records
from zeroconv.controlnet.residuals import Residuals


def residuals(first, second):
    return Residuals((torch.full((1, 3, 2, 2), first), torch.full((1, 5, 2, 2), second)), (torch.full((1, 1), -2.0),))


def told(*moments, measuring=True):
    record = Record(measuring)
    for sigma, ran, given in moments:
        record.note(sigma, ran, given)
    return ControlRecord("1. edges", record, 2)


def test_sizes_are_the_root_mean_square_of_what_was_added():
    noisy = torch.randn(2, 3, 4, 4)
    record = Record(measuring=True)
    record.note(3.0, True, Residuals((noisy,), ()))
    ((sigma, ran, sizes),) = record.sizes()
    assert (sigma, ran) == (3.0, True)
    assert sizes == pytest.approx([math.sqrt(np.mean(noisy.numpy().astype(np.float64) ** 2))])


def test_moments_of_one_noise_level_are_one_step():
    record = told((5.0, True, residuals(1, 1)), (5.0, False, residuals(3, 1)), (1.0, False, residuals(4, 1))).record
    assert record.sizes() == [(5.0, True, [2, 1, 2]), (1.0, False, [4, 1, 2])]
    assert (record.runs, record.saved) == (1, 2)


def test_nothing_is_measured_unless_asked():
    quiet = told((5.0, True, residuals(1, 1)), (1.0, False, residuals(1, 1)), measuring=False)
    assert all(moment.sizes is None for moment in quiet.record.moments)
    assert str(quiet) == "1. edges: ran 1 times, 1 runs saved"
    assert str(told()) == "1. edges: has not acted in a sampling yet"


def test_the_table_has_a_line_for_each_residual():
    text = str(told((5.0, True, residuals(1, 4)), (1.0, True, residuals(0.5, 4))))
    assert text.splitlines() == [
        "1. edges: ran 2 times",
        "sigma: 5 1",
        "output 0: 1 0.5",
        "output 1: 4 4",
        "middle: 2 2",
    ]


def test_bars_rise_with_the_sizes():
    one = told(*((10.0 - i, True, residuals((i + 1) / 4, 1.0)) for i in range(4)))
    picture = draw_records([one], 412)[0]
    top, column = 12 + 20, (412 - 24 - NAMES - NUMBERS) / 4
    heights = []
    for step in range(4):
        pixels = picture[top : top + 22, int(12 + NAMES + (step + 0.5) * column)]
        heights.append(int((pixels[:, 2] - pixels[:, 0] > 0.2).sum()))
    assert heights == pytest.approx([heights[3] * share for share in (0.25, 0.5, 0.75, 1)], abs=1.5)
    assert heights[3] >= 15


@pytest.mark.parametrize("records", [[], [told()], [told((1.0, True, residuals(0, 0)))]])
def test_there_is_a_picture_of_nothing_too(records):
    assert torch.isfinite(draw_records(records)).all()


def test_psnr_is_that_of_scikit_image():
    first, second = torch.rand(1, 12, 9, 3), torch.rand(1, 12, 9, 3)
    expected = peak_signal_noise_ratio(first.numpy(), second.numpy(), data_range=1.0)
    assert image_difference(first, second).psnr == pytest.approx(expected, rel=1e-5)
    latents = torch.randn(1, 4, 6, 5)
    other = latents + 0.1 * torch.randn(1, 4, 6, 5)
    span = float(latents.max() - latents.min())
    expected = peak_signal_noise_ratio(latents.numpy(), other.numpy(), data_range=span)
    assert latent_difference(latents, other).psnr == pytest.approx(expected, rel=1e-4)


def test_a_difference_is_where_the_change_is():
    first = torch.zeros(2, 8, 8, 3)
    second = first.clone()
    second[1, 2, 3] = 0.25
    shown = image_difference(first, second)
    assert shown.picture.shape == (2, 8, 8, 3)
    assert shown.picture.nonzero()[:, :3].unique(dim=0).tolist() == [[1, 2, 3]]
    assert (float(shown.picture.max()), shown.greatest) == (1.0, 0.25)
    assert float(image_difference(first, second, gain=2.0).picture.max()) == 0.5
    assert str(image_difference(first, first)) == "equal, mean difference 0, greatest 0"


def test_one_picture_is_compared_with_each_of_a_batch():
    assert image_difference(torch.zeros(1, 4, 4, 3), torch.ones(3, 4, 4, 3)).picture.shape[0] == 3


def test_a_latent_point_is_eight_pixels():
    first = torch.zeros(1, 4, 3, 5)
    second = first.clone()
    second[0, :, 1, 2] = torch.tensor([3.0, 0, 4.0, 0])
    shown = latent_difference(first, second, gain=0.1).picture
    assert shown.shape == (1, 24, 40, 3)
    assert torch.all(shown[0, 8:16, 16:24] == 0.5)
    assert float(shown.sum()) == pytest.approx(64 * 3 * 0.5)


def test_sizes_that_do_not_fit_are_told():
    with pytest.raises(ValueError, match=r"\(1, 4, 4, 3\) and \(1, 4, 5, 3\)"):
        image_difference(torch.zeros(1, 4, 4, 3), torch.zeros(1, 4, 5, 3))
