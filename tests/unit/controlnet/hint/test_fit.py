"""How hints meet the picture, and what resampling keeps of them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import label
from zeroconv.controlnet.hint.fit import FIT_MODES, Fit, border_color, crop_margins, fit_hint, pixel_perfect_resolution
from zeroconv.controlnet.hint.resample import RESAMPLINGS, content_of, resample

SIZES = [(48, 64), (64, 48), (200, 120), (37, 91)]


def lines(height=96, width=128):
    """A frame and a diagonal, one pixel wide, white on black."""
    drawn = torch.zeros(height, width)
    drawn[10, 10:-10] = drawn[-11, 10:-10] = 1
    drawn[10:-10, 10] = drawn[10:-10, -11] = 1
    for x in range(10, width - 10):
        drawn[10 + (x - 10) * (height - 21) // (width - 21), x] = 1
    return drawn.expand(1, 3, height, width)


def segments():
    """Four areas in colors of their own."""
    picture = torch.zeros(1, 3, 96, 128)
    colors = [(120, 120, 120), (180, 120, 120), (6, 230, 230), (80, 50, 50)]
    for i, color in enumerate(colors):
        picture[:, :, 48 * (i // 2) : 48 * (i // 2) + 48, 64 * (i % 2) : 64 * (i % 2) + 64] = (
            torch.tensor(color)[:, None, None] / 255
        )
    return picture


def disc():
    y, x = torch.meshgrid(torch.arange(96), torch.arange(128), indexing="ij")
    return ((y - 48) ** 2 + (x - 64) ** 2 < 30**2).float().expand(1, 3, 96, 128)


def gradient():
    return torch.linspace(0, 1, 96 * 128).reshape(1, 1, 96, 128).expand(1, 3, 96, 128)


def thickness(drawn):
    """Largest side of a square that is all on."""
    side = 0
    while torch.nn.functional.avg_pool2d(drawn[None, None].float(), side + 1, 1).max() == 1:
        side += 1
    return side


@pytest.mark.parametrize("fit", [Fit(mode, how) for mode in ("crop", "stretch", "fit inside") for how in RESAMPLINGS])
@pytest.mark.parametrize("size", SIZES)
def test_every_fit_gives_the_size_of_the_picture(fit, size):
    hint = torch.rand(2, 3, 96, 128)
    fitted = fit_hint(hint, size, fit)
    assert fitted.shape == (2, 3, *size)
    assert fitted.min() >= 0
    assert fitted.max() <= 1


@pytest.mark.parametrize("fit", [Fit(mode, how) for mode in ("crop", "stretch", "fit inside") for how in RESAMPLINGS])
def test_a_hint_of_the_right_size_is_not_touched(fit):
    hint = torch.rand(2, 3, 96, 128)
    assert torch.equal(fit_hint(hint, (96, 128), fit), hint)


def test_a_batch_equals_single_hints():
    hints = torch.cat([lines(), segments(), gradient(), disc()])
    together = fit_hint(hints, (60, 77), Fit("crop", "edges"))
    alone = [fit_hint(hint[None], (60, 77), Fit("crop", "edges")) for hint in hints]
    assert torch.equal(together, torch.cat(alone))


@pytest.mark.parametrize(
    ("hint", "picture", "margins"),
    [((100, 200), (64, 64), (0, 50)), ((200, 100), (64, 64), (50, 0)), ((64, 96), (128, 192), (0, 0))],
)
def test_cropping_cuts_two_sides_evenly(hint, picture, margins):
    assert crop_margins(hint, picture) == margins


def test_fit_inside_keeps_the_shape_and_fills_with_the_border_color():
    hint = torch.full((1, 3, 50, 100), 0.25)
    hint[:, :, 10:40, 10:90] = 1
    fitted = fit_hint(hint, (100, 100), Fit("fit inside"))
    assert torch.equal(fitted[:, :, 25:75], hint)
    assert (fitted[:, :, :25] == 0.25).all()
    assert (fitted[:, :, 75:] == 0.25).all()


def test_the_border_color_is_the_median_of_the_borders():
    hint = torch.rand(2, 3, 21, 34)
    expected = [
        [np.median(np.concatenate([c[0], c[-1], c[:, 0], c[:, -1]])) for c in picture] for picture in hint.numpy()
    ]
    np.testing.assert_allclose(border_color(hint).numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("picture", "content"),
    [(lines(), "lines"), (disc(), "binary"), (segments(), "colors"), (gradient(), "smooth")],
)
def test_what_a_hint_is(picture, content):
    assert content_of(picture) == content


@pytest.mark.parametrize("size", [(48, 64), (32, 43), (57, 71), (144, 192), (192, 256), (60, 200)])
def test_lines_stay_whole_and_thin(size):
    scaled = resample(lines(), size, "edges")
    assert set(scaled.unique().tolist()) == {0, 1}
    assert thickness(scaled[0, 0]) == 1
    # All strokes meet: whatever is broken off would be a piece of its own.
    assert label(scaled[0, 0].numpy(), np.ones((3, 3)))[1] == 1
    dark = 1 - scaled[0, 0].numpy()
    assert label(dark)[1] == 3  # outside the frame, and two triangles within


def test_nearest_breaks_the_lines_that_edges_keeps():
    assert label(resample(lines(), (32, 43), "nearest")[0, 0].numpy(), np.ones((3, 3)))[1] != 1


@pytest.mark.parametrize("size", SIZES)
def test_segmentation_colors_are_not_mixed(size):
    before = {tuple(color) for color in segments().flatten(2)[0].T.tolist()}
    after = {tuple(color) for color in resample(segments(), size, "edges").flatten(2)[0].T.tolist()}
    assert after == before


@pytest.mark.parametrize("size", SIZES)
def test_binary_maps_stay_binary_and_as_large(size):
    scaled = resample(disc(), size, "edges")
    assert set(scaled.unique().tolist()) == {0, 1}
    assert scaled.mean().item() == pytest.approx(disc().mean().item(), rel=0.05)


def test_smooth_maps_are_averaged():
    expected = gradient().reshape(1, 3, 48, 2, 64, 2).mean(dim=(3, 5))
    torch.testing.assert_close(resample(gradient(), (48, 64), "edges"), expected)


def test_values_below_zero_stay():
    """Inpainting hints mark the hole with -1."""
    hint = gradient().clone()
    hint[:, :, :48] = -1
    assert resample(hint, (48, 64), "edges").min() == -1


def test_lanczos_is_pillows():
    levels = (np.random.default_rng(0).random((96, 128, 3)) * 255).astype(np.uint8)
    expected = np.asarray(Image.fromarray(levels).resize((50, 40), Image.Resampling.LANCZOS)) / 255
    hint = torch.from_numpy(levels).movedim(-1, 0)[None] / 255
    np.testing.assert_allclose(resample(hint, (40, 50), "lanczos")[0].movedim(0, -1), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("image", "picture", "mode", "resolution"),
    [
        ((1000, 2000), (512, 512), "crop", 512),  # max(0.512, 0.256) * 1000
        ((1000, 2000), (512, 512), "fit inside", 256),
        ((1000, 2000), (512, 512), "stretch", 512),
        ((600, 400), (768, 512), "crop", 512),
        ((333, 777), (640, 960), "crop", 640),
        ((333, 777), (640, 960), "fit inside", 411),  # 960 / 777 * 333 = 411.43
    ],
)
def test_pixel_perfect_resolution(image, picture, mode, resolution):
    assert pixel_perfect_resolution(image, picture, mode) == resolution


SIDES = st.integers(1, 40)


@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from(FIT_MODES), st.sampled_from(["nearest", "edges"]), st.integers(0, 9))
def test_a_fitted_hint_has_the_pictures_size_and_no_new_colors(height, width, rows, columns, mode, resampling, seed):
    """For a hint in four plain colors; the border of `fit inside` is a median, which may lie between two of them."""
    classes = torch.randint(0, 4, (1, 1, height, width), generator=torch.Generator().manual_seed(seed))
    hint = (classes / 3).expand(1, 3, height, width)
    fitted = fit_hint(hint, (rows, columns), Fit(mode, resampling))
    assert fitted.shape == (1, 3, rows, columns)
    assert hint.min() - 1e-6 <= fitted.min() <= fitted.max() <= hint.max() + 1e-6
    if mode != "fit inside" and resampling == "nearest":
        assert set(fitted.unique().tolist()) <= set(hint.unique().tolist())


def photograph():
    """Smooth and of many values, (1, 3, 96, 128) in 0..1."""
    small = torch.rand(1, 3, 12, 16, generator=torch.Generator().manual_seed(2))
    return torch.nn.functional.interpolate(small, (96, 128), mode="bilinear").clamp(0.05, 0.95)


@pytest.mark.parametrize("fit", [Fit(mode, how) for mode in FIT_MODES for how in RESAMPLINGS])
@pytest.mark.parametrize("size", [(48, 64), (150, 300)])
def test_the_value_that_marks_what_to_inpaint_stays_exactly_that(fit, size):
    """-1 in an inpaint hint: neither cut off nor mixed with the picture around it."""
    hint = photograph()
    hint[:, :, 30:60, 40:80] = -1
    fitted = fit_hint(hint, size, fit)
    outside = fitted[fitted < 0]
    assert outside.unique().tolist() == [-1]
    whole = fit_hint((hint < 0).float(), size, Fit(fit.mode)) > 0.5
    assert ((fitted < 0) == whole).float().mean() > 0.999
    assert fitted[fitted >= 0].min() > 0.03  # 0.05 in the picture; cubics and Lanczos go a little below


@pytest.mark.parametrize("fit", [Fit(mode, how) for mode in FIT_MODES for how in ("nearest", "edges")])
def test_areas_of_three_values_keep_all_three(fit):
    hint = torch.zeros(1, 3, 96, 128)
    hint[:, :, :40], hint[:, :, 60:] = 1, -1
    assert fit_hint(hint, (200, 120), fit).unique().tolist() == [-1, 0, 1]


@pytest.mark.parametrize("fit", [Fit(mode, how) for mode in FIT_MODES for how in RESAMPLINGS])
@pytest.mark.parametrize("size", [(48, 64), (192, 256)])
def test_a_map_of_another_range_keeps_it(fit, size):
    """A map from -5 to 15, such as distances: its fit is the fit of the same map in 0..1, in its own range."""
    hint = photograph()
    hint = (hint - hint.min()) / (hint.max() - hint.min())
    expected = fit_hint(hint, size, fit) * 20 - 5
    torch.testing.assert_close(fit_hint(hint * 20 - 5, size, fit), expected, atol=0.2, rtol=0)
