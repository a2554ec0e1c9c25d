"""Raw depth and the hint that is made of it: limits of a picture, a film or given ones, outliers, both directions."""

import numpy as np
import pytest
import torch
from zeroconv.preprocessors.catalogue import preprocessors
from zeroconv.preprocessors.depth_maps import FIXED, PER_BATCH, depth_parameters
from zeroconv.preprocessors.description import Inputs, Preprocessor
from zeroconv.preprocessors.running import Options, preprocess

torch.set_num_threads(1)

DEPTH_METHODS = [method for method in preprocessors().values() if method.hint == "depth"]
RAMP = torch.linspace(0, 1, 40)


def method_of(kind, **defaults) -> Preprocessor:
    """A method whose raw depth is ten times the red channel."""

    def run(inputs: Inputs) -> torch.Tensor:
        return inputs.images[..., 0] * 10

    near, far = (10.0, 0.0) if kind == "inverse" else (0.5, 8.0)
    parameters = depth_parameters(kind, near=near, far=far, **defaults)
    return Preprocessor("test", "Test", "depth", "", run, parameters=parameters, depth=kind)


def no_networks(name: str) -> torch.nn.Module:
    raise KeyError(name)


def run(kind, pictures, chunk=1, size="processing", **settings):
    return preprocess(method_of(kind), pictures, no_networks, settings, Options(result_size=size, chunk=chunk))


def scenes(*scales: float, height=20) -> torch.Tensor:
    """Ramps to the right, from 0 to each of the scales."""
    return torch.stack([(RAMP * scale).expand(height, -1) for scale in scales])[..., None].expand(-1, -1, -1, 3)


@pytest.mark.parametrize("method", DEPTH_METHODS, ids=lambda method: method.id)
def test_every_depth_method_gives_raw_depth_and_has_its_settings(method):
    assert method.depth is not None
    names = [parameter.name for parameter in method.parameters if parameter.appended]
    expected = ["normalize", "near", "far", "lower_percentile", "upper_percentile", "invert", "precision"]
    assert names == expected
    assert [parameter.name for parameter in method.parameters][-len(names) :] == names


def test_raw_depth_comes_out_uncut_in_one_channel():
    pictures = torch.rand(3, 20, 30, 3)
    hint = run("meters", pictures)
    assert hint.depth.dtype == torch.float32
    assert torch.equal(hint.depth, pictures[..., 0] * 10)


def test_resized_depth_keeps_its_values():
    pictures = scenes(1.0, 0.5)
    depth = preprocess(method_of("meters"), pictures, no_networks, None, Options(40)).depth
    assert depth.shape == (2, 40, 80)
    back = preprocess(method_of("meters"), pictures, no_networks, None, Options(40, "input"))
    assert back.image.shape[:3] == back.depth.shape == (2, 20, 40)
    torch.testing.assert_close(back.depth, pictures[..., 0] * 10, atol=0.2, rtol=0)


@pytest.mark.parametrize("kind", ["inverse", "distance", "meters"])
def test_near_is_white_for_depth_of_every_kind(kind):
    row = run(kind, scenes(1.0)).image[0, 0, :, 0]
    near, far = (row[-1], row[0]) if kind == "inverse" else (row[0], row[-1])
    assert (near, far) == (1, 0)
    steps = row.diff() if kind == "inverse" else -row.diff()
    assert (steps > 0).all()


@pytest.mark.parametrize("chunk", [1, 2, 5])
@pytest.mark.parametrize("kind", ["inverse", "meters"])
def test_a_batch_shares_one_scale_whatever_its_chunks(kind, chunk):
    """The same depth has the same grey in every frame; a frame by itself would use the whole range."""
    hint = run(kind, scenes(0.5, 1.0, 0.8), chunk, normalize=PER_BATCH)
    grey = hint.depth / 10 if kind == "inverse" else 1 - hint.depth / 10
    torch.testing.assert_close(hint.image[..., 0], grey, atol=1e-6, rtol=0)
    alone = run(kind, scenes(0.5, 1.0, 0.8), chunk)
    assert (alone.image.amax((1, 2, 3)) - alone.image.amin((1, 2, 3))).tolist() == [1, 1, 1]
    assert torch.equal(alone.image[1], run(kind, scenes(1.0)).image[0])


@pytest.mark.parametrize(("kind", "near", "far"), [("inverse", 8.0, 2.0), ("meters", 2.0, 8.0), ("distance", 2.0, 8.0)])
def test_fixed_limits_are_black_and_white(kind, near, far):
    hint = run(kind, scenes(1.0, 0.3), normalize=FIXED, near=near, far=far)
    expected = np.interp(hint.depth.numpy(), [2.0, 8.0], [0, 1] if kind == "inverse" else [1, 0])
    np.testing.assert_allclose(hint.image[..., 2].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "settings", "word"),
    [
        ("inverse", {"normalize": FIXED, "near": 1.0, "far": 2.0}, "larger"),
        ("meters", {"normalize": FIXED, "near": 3.0, "far": 2.0}, "smaller"),
        ("meters", {"normalize": FIXED, "near": 2.0, "far": 2.0}, "near is 2.0"),
        ("inverse", {"lower_percentile": 60.0, "upper_percentile": 40.0}, "lower_percentile is 60.0"),
    ],
)
def test_limits_the_wrong_way_round_are_named(kind, settings, word):
    with pytest.raises(ValueError, match=word):
        run(kind, scenes(1.0), **settings)


@pytest.mark.parametrize("kind", ["inverse", "meters"])
def test_percentiles_are_numpys_and_outliers_darken_nothing(kind):
    pictures = torch.rand(1, 30, 40, 3, generator=torch.Generator().manual_seed(0)) * 0.5
    pictures[0, 3, 5] = 1.0
    hint = run(kind, pictures, lower_percentile=10.0, upper_percentile=95.0)
    depth = hint.depth.numpy()
    nearness = depth if kind == "inverse" else -depth
    black, white = np.percentile(nearness, [10, 95])
    expected = ((nearness - black) / (white - black)).clip(0, 1)
    np.testing.assert_allclose(hint.image[..., 0].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["inverse", "meters"])
def test_inverted_near_is_black(kind):
    pictures = torch.rand(2, 20, 30, 3)
    assert torch.equal(run(kind, pictures, invert=True).image, 1 - run(kind, pictures).image)


def test_depth_without_numbers_says_what_to_do():
    broken = Preprocessor(
        "test",
        "Test",
        "depth",
        "",
        lambda inputs: inputs.images[..., 0] / 0,
        parameters=depth_parameters("inverse", near=1.0, far=0.0),
        depth="inverse",
    )
    with pytest.raises(ValueError, match="precision to fp32"):
        preprocess(broken, torch.zeros(1, 16, 16, 3), no_networks)


def test_a_cancel_stops_a_film_between_its_frames():
    frames = []

    def stop(done, total):
        frames.append(done)
        if done == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        preprocess(method_of("inverse"), scenes(*[1.0] * 9), no_networks, None, Options(progress=stop))
    assert max(frames) == 3
