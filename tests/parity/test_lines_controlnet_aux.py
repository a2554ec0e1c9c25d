"""Our networks and methods for lines and edges against the package controlnet-aux, on the same random weights."""

import functools

import numpy as np
import pytest
import torch
from torch import nn
from zeroconv.benchmarks.models.official_weights import random_state_dict
from zeroconv.benchmarks.sides.reference_packages import controlnet_aux
from zeroconv.preprocessors.methods.lineart import LINEART_ANIME, LINEART_REALISTIC
from zeroconv.preprocessors.methods.lines_mlsd import MLSD, decode_lines
from zeroconv.preprocessors.methods.scribble_from_photo import SCRIBBLE_HED, SCRIBBLE_PIDINET, scribble_from_edges
from zeroconv.preprocessors.methods.soft_edges import HED, PIDINET, TEED
from zeroconv.preprocessors.networks import hed, lineart, lineart_anime, mlsd, pidinet, teed
from zeroconv.preprocessors.running import preprocess

LEVEL = 1 / 255
"""The package cuts its results off to whole grey levels."""


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield


def weights_of(name):
    """Random weights whose answer to a photograph has contrast."""
    weights = random_state_dict(name)
    if name == "pidinet":
        weights["classifier.weight"] *= 10
    if name == "hed":
        for block in range(1, 6):
            weights[f"block{block}.projection.weight"] *= 0.2
            weights[f"block{block}.projection.bias"] += 3.3
    return weights


def loaded(network, name):
    network.load_state_dict(weights_of(name))
    return network.eval()


def pictures(size, batch=2):
    return torch.rand(batch, 3, *size, generator=torch.Generator().manual_seed(1))


def photograph(height=64, width=128):
    """A cut of a real photograph, uint8, of a size that the package leaves as it is (`detect_resolution` 64)."""
    from skimage import data

    return np.ascontiguousarray(data.astronaut()[40 : 40 + height, 160 : 160 + width])


def our_hint(method, network, picture, settings=None):
    images = torch.from_numpy(picture).float()[None] / 255
    return preprocess(method, images, lambda row: network, settings).image[0, ..., 0]


def their_hint(detector, picture, **options):
    options = {"detect_resolution": 64, "image_resolution": 64, "output_type": "np", **options}
    hint = detector(picture, **options)
    return torch.from_numpy(np.ascontiguousarray(hint[..., 0])).float() / 255


def same(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_hed_network():
    reference = loaded(controlnet_aux("hed").ControlNetHED_Apache2(), "hed")
    images = pictures((48, 80))
    maps = [nn.functional.interpolate(m, (48, 80), mode="bilinear") for m in reference(images * 255)]
    same(hed.build(weights_of("hed"))(images), torch.stack(maps).mean(0).sigmoid())


def test_pidinet_with_differences_as_plain_convolutions():
    reference = loaded(controlnet_aux("pidi.model").pidinet(), "pidinet")
    images = pictures((48, 80))
    same(pidinet.build(weights_of("pidinet"))(images), reference(images.flip(1))[-1])


def test_teed_network():
    reference = loaded(controlnet_aux("teed.ted").TED(), "teed")
    images = pictures((48, 80))
    same(teed.build(weights_of("teed"))(images), torch.stack(reference(images * 255)).mean(0).sigmoid())


def test_line_drawing_network():
    reference = loaded(controlnet_aux("lineart").Generator(3, 1, 3), "lineart")
    images = pictures((48, 80))
    same(lineart.build(weights_of("lineart"))(images), 1 - reference(images))


def anime_reference():
    norm = functools.partial(nn.InstanceNorm2d, affine=False, track_running_stats=False)
    network = controlnet_aux("lineart_anime").UnetGenerator(3, 1, 8, 64, norm_layer=norm, use_dropout=False)
    return loaded(network, "lineart_anime")


def test_anime_network():
    images = pictures((256, 512), batch=1)
    expected = 0.5 - anime_reference()(images * 2 - 1) / 2
    same(lineart_anime.build(weights_of("lineart_anime"))(images), expected)


def mlsd_reference(size):
    module = controlnet_aux(f"mlsd.models.mbv2_mlsd_{size}")
    return loaded(getattr(module, f"MobileV2_MLSD_{size.title()}")(), f"mlsd_{size}")


@pytest.mark.parametrize(("size", "build"), [("large", mlsd.build_large), ("tiny", mlsd.build_tiny)])
def test_mlsd_network(size, build):
    images = pictures((64, 96))
    with_ones = torch.cat([images * 255, torch.ones(2, 1, 64, 96)], dim=1) / 127.5 - 1
    same(build(weights_of(f"mlsd_{size}"))(images), mlsd_reference(size)(with_ones)[:, :5])


class Fixed(nn.Module):
    """A network with one answer."""

    def __init__(self, answer):
        super().__init__()
        self.answer = nn.Parameter(answer, requires_grad=False)

    def forward(self, images):
        return self.answer


@pytest.mark.parametrize("seed", range(5))
def test_line_decoding(seed):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(1, 5, 32, 48, generator=generator) * torch.tensor([3.0, 9, 9, 9, 9])[:, None, None]
    predict = controlnet_aux("mlsd.utils").pred_lines
    expected = predict(np.zeros((64, 96, 3), np.uint8), Fixed(maps), [64, 96], 0.3, 8.0)
    (ours,) = decode_lines(maps, 0.3, 8.0, 200)
    assert len(expected) > 20
    same(ours, torch.from_numpy(expected).float())


@pytest.mark.parametrize("safe", [False, True])
@pytest.mark.parametrize(
    ("method", "module", "detector", "make", "build"),
    [
        (HED, "hed", "HEDdetector", "ControlNetHED_Apache2", hed.build),
        (PIDINET, "pidi", "PidiNetDetector", "pidinet", pidinet.build),
    ],
    ids=["hed", "pidinet"],
)
def test_soft_edges_from_photograph_to_hint(method, module, detector, make, build, safe):
    package = controlnet_aux(f"{module}.__init__")
    theirs = getattr(package, detector)(loaded(getattr(package, make)(), method.id))
    expected = their_hint(theirs, photograph(), safe=safe)
    ours = our_hint(method, build(weights_of(method.id)), photograph(), {"safe": safe})
    difference = ours - expected
    assert expected.std() > 0.05
    # Beside the cut to grey levels, a value on the edge of a safe step may fall to either side.
    apart = (difference < -1e-5) | (difference > LEVEL + 1e-5)
    assert apart.float().mean() <= (1e-3 if safe else 0)


@pytest.mark.parametrize("seed", range(3))
def test_scribble_from_edges(seed):
    import cv2

    generator = np.random.default_rng(seed)
    edges = cv2.GaussianBlur(generator.uniform(0, 1, (96, 120)).astype(np.float32), (0, 0), 4.0)
    edges = np.uint8(255 * np.clip((edges - edges.mean()) / edges.std() * 0.4 + 0.5, 0, 1))
    ridges = controlnet_aux("util").nms(edges, 127, 3.0)
    expected = cv2.GaussianBlur(ridges, (0, 0), 3.0) > 4
    ours = scribble_from_edges(torch.from_numpy(edges).float()[None] / 255)[0, ..., 0].numpy() > 0
    assert 0.05 < expected.mean() < 0.95
    # A grey level over 255 times 255 may round to just below it.
    assert (ours == expected).mean() > 0.999


@pytest.mark.parametrize(
    ("method", "module", "detector", "make", "build", "row"),
    [
        (SCRIBBLE_HED, "hed", "HEDdetector", "ControlNetHED_Apache2", hed.build, "hed"),
        (SCRIBBLE_PIDINET, "pidi", "PidiNetDetector", "pidinet", pidinet.build, "pidinet"),
    ],
    ids=["hed", "pidinet"],
)
def test_scribble_from_photograph_to_strokes(method, module, detector, make, build, row):
    package = controlnet_aux(f"{module}.__init__")
    theirs = getattr(package, detector)(loaded(getattr(package, make)(), row))
    expected = their_hint(theirs, photograph(), scribble=True)
    ours = our_hint(method, build(weights_of(row)), photograph())
    assert 0.02 < expected.mean() < 0.98
    assert (ours == expected).float().mean() > 0.995


def test_line_art_from_photograph_to_hint():
    package = controlnet_aux("lineart.__init__")
    network = loaded(package.Generator(3, 1, 3), "lineart")
    expected = their_hint(package.LineartDetector(network, network), photograph())
    ours = our_hint(LINEART_REALISTIC, lineart.build(weights_of("lineart")), photograph())
    assert expected.std() > 0.05
    assert (ours - expected).abs().max() < LEVEL + 1e-5


def test_anime_line_art_from_photograph_to_hint():
    package = controlnet_aux("lineart_anime.__init__")
    picture = photograph(256, 256)
    expected = their_hint(
        package.LineartAnimeDetector(anime_reference()), picture, detect_resolution=256, image_resolution=256
    )
    ours = our_hint(LINEART_ANIME, lineart_anime.build(weights_of("lineart_anime")), picture)
    assert expected.std() > 0.05
    assert (ours - expected).abs().max() < LEVEL + 1e-5


def test_mlsd_from_photograph_to_lines():
    package = controlnet_aux("mlsd.__init__")
    expected = their_hint(package.MLSDdetector(mlsd_reference("large")), photograph(), thr_v=0.1, thr_d=0.1)
    ours = our_hint(MLSD, mlsd.build_large(weights_of("mlsd_large")), photograph())
    assert expected.mean() > 0.005
    # Coordinates are cut off to whole pixels: one that is whole but for rounding may move.
    assert (ours == expected).float().mean() > 0.995


def test_teed_from_photograph_to_hint():
    package = controlnet_aux("teed.__init__")
    detector = package.TEEDdetector(loaded(controlnet_aux("teed.ted").TED(), "teed"))
    expected = torch.from_numpy(detector(photograph(), 64, safe_steps=0, output_type="np")[..., 0]).float() / 255
    ours = our_hint(TEED, teed.build(weights_of("teed")), photograph(), {"safe_steps": 0})
    assert expected.std() > 0.02
    assert (ours - expected).min() > -1e-5
    assert (ours - expected).max() < LEVEL + 1e-5
