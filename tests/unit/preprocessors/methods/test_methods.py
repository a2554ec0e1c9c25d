"""The methods without networks, against OpenCV, scikit-image and the formulas of their sources."""

import cv2
import numpy as np
import pytest
import torch
from skimage import color, data
from zeroconv.preprocessors.catalogue import preprocessors
from zeroconv.preprocessors.line_segments import find_segments
from zeroconv.preprocessors.methods.color_grid import color_grid
from zeroconv.preprocessors.methods.edges_canny import CANNY, automatic_thresholds
from zeroconv.preprocessors.methods.lineart_standard import lineart_standard
from zeroconv.preprocessors.methods.lines_lsd import LINES_LSD
from zeroconv.preprocessors.methods.normals_from_depth import normals_from_depth
from zeroconv.preprocessors.methods.recolor import luminance
from zeroconv.preprocessors.methods.scribble import scribble_from_drawing, xdog
from zeroconv.preprocessors.methods.shuffle import shuffle
from zeroconv.preprocessors.methods.threshold import OTSU, binarize
from zeroconv.preprocessors.methods.tile import guided_filter, resample
from zeroconv.preprocessors.normal_maps import V10, V11
from zeroconv.preprocessors.running import Options, preprocess

torch.set_num_threads(1)

ASTRONAUT = data.astronaut()
WEIGHT_FREE = [method for method in preprocessors().values() if not method.weights and not method.takes_mask]


def no_networks(name: str) -> torch.nn.Module:
    raise KeyError(name)


def batch_of(*pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(pictures).astype(np.float32) / 255)


def small(size: int = 96) -> np.ndarray:
    return cv2.resize(ASTRONAUT, (size, size), interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize(("low", "high"), [(100, 200), (50, 60), (0, 255)])
def test_canny_is_opencvs_on_the_bytes(low, high):
    settings = {"low_threshold": low, "high_threshold": high}
    hint = preprocess(CANNY, batch_of(ASTRONAUT), no_networks, settings).image
    expected = cv2.Canny(ASTRONAUT, low, high)
    np.testing.assert_array_equal(hint[0, ..., 1].numpy() * 255, expected)
    assert torch.equal(hint[..., 0], hint[..., 2])


def test_canny_at_a_resolution_is_opencvs_on_the_area_average():
    hint = preprocess(CANNY, batch_of(ASTRONAUT), no_networks, options=Options(256)).image
    expected = cv2.Canny(cv2.resize(ASTRONAUT, (256, 256), interpolation=cv2.INTER_AREA), 100, 200)
    assert (hint[0, ..., 0].numpy() * 255 == expected).mean() > 0.999


def test_bytes_are_rounded_not_cut_off():
    slightly_less = batch_of(ASTRONAUT) - 1e-4
    expected = cv2.Canny(ASTRONAUT, 100, 200)
    hint = preprocess(CANNY, slightly_less.clamp_min(0), no_networks).image
    np.testing.assert_array_equal(hint[0, ..., 0].numpy() * 255, expected)


@pytest.mark.parametrize("method", WEIGHT_FREE, ids=lambda method: method.id)
def test_every_method_keeps_size_range_and_batch_and_equals_a_loop(method):
    batch = batch_of(small(67)[:, :51], small(67)[:, 16:])
    together = preprocess(method, batch, no_networks, options=Options(chunk=2)).image
    alone = torch.cat([preprocess(method, image[None], no_networks).image for image in batch])
    assert together.shape == batch.shape
    assert together.dtype == torch.float32
    assert 0 <= together.min() <= together.max() <= 1
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("method", WEIGHT_FREE, ids=lambda method: method.id)
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("size", [(16, 16), (17, 33)])
def test_a_flat_picture_gives_finite_values(method, value, size):
    hint = preprocess(method, torch.full((1, *size, 3), value), no_networks).image
    assert torch.isfinite(hint).all()


def test_automatic_thresholds_give_the_asked_density():
    rgb = small(256)
    _, high = automatic_thresholds(rgb, 0.2)
    across = np.abs(cv2.Sobel(rgb, cv2.CV_64F, 1, 0)) + np.abs(cv2.Sobel(rgb, cv2.CV_64F, 0, 1))
    assert (across.max(axis=2) > high).mean() == pytest.approx(0.2, abs=0.01)


def test_scribble_is_white_where_ink_is_dark():
    drawing = np.full((32, 32, 3), 255, np.uint8)
    drawing[10:12] = (200, 20, 200)
    hint = scribble_from_drawing(batch_of(drawing), 127)
    assert (hint[0, 10:12] == 1).all()
    assert hint.sum() == 2 * 32 * 3


def test_xdog_is_the_formula_without_wrapping_around():
    drawing = small()
    cv2.line(drawing, (5, 5), (80, 60), (0, 0, 0), 3)
    drawing[60:, :40] = 255
    cv2.line(drawing, (20, 62), (20, 95), (0, 0, 0), 1)
    picture = drawing.astype(np.float32)
    sharp, soft = (cv2.GaussianBlur(picture, (0, 0), sigma) for sigma in (0.5, 5.0))
    dog = (255 - np.min(soft - sharp, axis=2)).clip(0, 255).astype(np.uint8)
    expected = 2 * (255 - dog.astype(int)) > 32
    np.testing.assert_array_equal(xdog(batch_of(drawing), 32)[0, ..., 0].numpy(), expected)
    assert (2 * (255 - dog.astype(int)) > 255).any(), "the picture must have lines that wrap in 8 bits"


def test_lineart_standard_is_the_formula():
    picture = small().astype(np.float32)
    ink = np.min(cv2.GaussianBlur(picture, (0, 0), 6.0) - picture, axis=2).clip(0, 255)
    expected = (ink / max(16, np.median(ink[ink > 8])) * 127).clip(0, 255) / 255
    np.testing.assert_allclose(lineart_standard(batch_of(small()), 6.0, 8)[0, ..., 0].numpy(), expected, atol=1e-5)


def test_otsu_separates_two_tones():
    picture = np.full((32, 32, 3), 40, np.uint8)
    picture[:, 16:] = 90
    assert (binarize(batch_of(picture), 127, OTSU)[0, 0, :, 0] == torch.tensor([0.0] * 16 + [1.0] * 16)).all()


def test_shuffle_is_the_reference_noise_and_repeatable():
    picture = small(128)
    generator = np.random.default_rng(7)
    maps = []
    for scale in (127.0, 127.0):
        noise = cv2.resize(generator.uniform(size=(2, 2, 1)), (128 + 512, 128 + 512), interpolation=cv2.INTER_CUBIC)
        noise = noise[256:384, 256:384]
        noise = (noise - noise.min()) / (noise.max() - noise.min())
        maps.append((noise * scale).astype(np.float32))
    expected = cv2.remap(picture.astype(np.float32), maps[0], maps[1], cv2.INTER_LINEAR) / 255
    np.testing.assert_allclose(shuffle(batch_of(picture), 7, 256)[0].numpy(), expected, atol=1e-3)
    assert not torch.equal(shuffle(batch_of(picture), 8, 256), shuffle(batch_of(picture), 7, 256))


def test_rate_one_is_the_picture_itself_and_more_takes_detail_away():
    batch = batch_of(small())
    assert torch.equal(resample(batch, 1.0), batch)
    assert resample(batch, 4.0).diff(dim=1).abs().mean() < batch.diff(dim=1).abs().mean()


def test_guided_filter_solves_the_windows_regressions():
    """He et al. 2010, eq. 14-16, by a linear solve in every window."""
    picture = small(24).astype(np.float64) / 255
    radius, epsilon = 2, 0.01
    border = np.pad(picture, ((4, 4), (4, 4), (0, 0)), "reflect")
    slopes = np.zeros((24, 24, 3, 3))
    offsets = np.zeros((24, 24, 3))
    for y, x in np.ndindex(24, 24):
        window = border[y + 2 : y + 7, x + 2 : x + 7].reshape(-1, 3)
        covariance = np.cov(window.T, bias=True)
        slopes[y, x] = np.linalg.solve(covariance + epsilon * np.eye(3), covariance)
        offsets[y, x] = window.mean(0) - window.mean(0) @ slopes[y, x]
    inner = slice(2, 22)
    smooth = np.zeros((20, 20, 3))
    for y, x in np.ndindex(20, 20):
        near = (slice(y, y + 5), slice(x, x + 5))
        smooth[y, x] = picture[y + 2, x + 2] @ slopes[near].mean((0, 1)) + offsets[near].mean((0, 1))
    result = guided_filter(picture.astype(np.float32), radius, epsilon)
    np.testing.assert_allclose(result[inner, inner], smooth.clip(0, 1), atol=2e-4)


def test_luminance_is_cielab_and_the_reference_swaps_red_and_blue():
    picture = small()
    expected = color.rgb2lab(picture)[..., 0] / 100
    np.testing.assert_allclose(luminance(batch_of(picture), 1.0)[0, ..., 0].numpy(), expected, atol=2e-3)
    webui = cv2.cvtColor(picture, cv2.COLOR_BGR2LAB)[..., 0] / 255
    swapped = luminance(batch_of(picture), 1.0, swap_red_and_blue=True)[0, ..., 0].numpy()
    np.testing.assert_allclose(swapped, webui, atol=0.01)


def test_color_grid_blocks_have_the_average_color():
    picture = small(128)
    grid = color_grid(batch_of(picture), 64)[0].numpy()
    for y, x in ((0, 0), (0, 64), (64, 0), (64, 64)):
        block = grid[y : y + 64, x : x + 64]
        assert np.ptp(block.reshape(-1, 3), axis=0).max() == 0
        np.testing.assert_allclose(block[0, 0], picture[y : y + 64, x : x + 64].mean((0, 1)) / 255, atol=1e-5)


def test_straight_lines_are_found_where_they_are_drawn():
    canvas = np.full((128, 128, 3), 255, np.uint8)
    cv2.rectangle(canvas, (30, 40), (100, 90), (0, 0, 0), -1)
    segments = find_segments(cv2.cvtColor(canvas, cv2.COLOR_RGB2GRAY), 20)
    assert len(segments) == 4
    hint = preprocess(LINES_LSD, batch_of(canvas), no_networks).image[0, ..., 0].numpy()
    edges = np.zeros((128, 128), np.uint8)
    cv2.rectangle(edges, (30, 40), (100, 90), 1, 5)
    assert hint.sum() > 180
    assert (hint[edges == 0] == 0).all()


@pytest.mark.parametrize(("convention", "red", "blue"), [(V11, 0, 2), (V10, 2, 0)])
def test_normals_of_a_slope_point_left_and_up(convention, red, blue):
    nearer_to_the_right = torch.linspace(0, 1, 64).expand(1, 64, 64).contiguous()
    normals = normals_from_depth(nearer_to_the_right, 1.0, 0.0, convention)[0, 32, 32]
    slope = 64 / 63
    expected = torch.tensor([slope, 0.0, 1.0]) / np.hypot(slope, 1)
    torch.testing.assert_close(normals[[red, 1, blue]], (expected + 1) / 2, atol=1e-5, rtol=0)
    floor = normals_from_depth(nearer_to_the_right.transpose(1, 2).contiguous(), 1.0, 0.0, convention)
    assert floor[0, 32, 32, 1] > 0.8


def test_normals_do_not_depend_on_the_size_and_the_background_is_flat():
    ramp = torch.linspace(0, 1, 256).expand(1, 256, 256).contiguous()
    large = normals_from_depth(ramp, 0.5, 0.3, V11)
    little = normals_from_depth(torch.linspace(0, 1, 64).expand(1, 64, 64).contiguous(), 0.5, 0.3, V11)
    torch.testing.assert_close(large[0, 128, 200], little[0, 32, 50], atol=5e-3, rtol=0)
    torch.testing.assert_close(large[0, 128, 20], torch.tensor([0.5, 0.5, 1.0]))
