"""Depth and the normals from it: official weights, hints of the right range, the annotator written out."""

import pytest
import torch
from zeroconv.benchmarks.models.official_weights import golden_state_dict
from zeroconv.preprocessors.depth_maps import stretch
from zeroconv.preprocessors.estimate import estimate
from zeroconv.preprocessors.methods.depth_anything import DEPTH_ANYTHING, DEPTH_ANYTHING_V2
from zeroconv.preprocessors.methods.depth_midas import MIDAS_DEPTH
from zeroconv.preprocessors.methods.normals_midas import MIDAS_NORMALS, midas_normals
from zeroconv.preprocessors.networks import depth_anything, leres, midas
from zeroconv.preprocessors.normal_maps import V10
from zeroconv.preprocessors.running import preprocess


def test_official_midas_weights_fit_strictly():
    network = midas.build(golden_state_dict("midas_dpt_hybrid"))
    assert sum(p.numel() for p in network.parameters()) == 122_377_985 - 2 * 768  # without the last, unused norm


@pytest.mark.parametrize("build", [depth_anything.build_v1, depth_anything.build_v2])
@pytest.mark.parametrize(("name", "count"), [("vits", 24_785_089), ("vitl", 335_315_649)])
def test_official_depth_anything_weights_fit_strictly(build, name, count):
    weights = golden_state_dict(f"depth_anything_v2_{name}")
    mask_token = weights["pretrained.mask_token"].numel()
    assert sum(p.numel() for p in build(weights).parameters()) == count - mask_token


def test_official_leres_weights_fit_strictly():
    weights = golden_state_dict("leres")
    network = leres.build({"depth_model": {f"module.{name}": value for name, value in weights.items()}})
    counted = sum(value.numel() for value in weights.values() if value.is_floating_point())
    assert sum(value.numel() for value in network.state_dict().values() if value.is_floating_point()) == counted


def test_a_file_of_another_network_is_refused_in_words():
    with pytest.raises(ValueError, match="not Depth Anything"):
        depth_anything.build_v2(golden_state_dict("midas_dpt_hybrid"))
    with pytest.raises(ValueError, match="does not fit Midas"):
        midas.build(golden_state_dict("depth_anything_v2_vits"))


class Brightness(torch.nn.Module):
    """A network that takes the brightness for inverse depth, in a unit of its own."""

    def __init__(self, unit=40.0):
        super().__init__()
        self.unit = torch.nn.Parameter(torch.tensor(unit))
        self.seen = []

    def forward(self, images):
        self.seen.append(tuple(images.shape))
        return images.mean(1, keepdim=True) * self.unit + 3


DEPTHS = [MIDAS_DEPTH, DEPTH_ANYTHING, DEPTH_ANYTHING_V2]


@pytest.mark.parametrize("method", DEPTHS, ids=lambda method: method.id)
def test_near_is_white_and_every_picture_uses_the_whole_range(method):
    ramp = torch.linspace(0.2, 0.4, 64).view(1, 1, 64, 1).expand(1, 48, 64, 3)
    hint = preprocess(method, torch.cat([ramp, 2 * ramp]), lambda name: Brightness()).image
    assert hint.shape == (2, 48, 64, 3)
    assert torch.allclose(hint[0], hint[1], atol=1e-4)
    assert hint.amin((1, 2, 3)).tolist() == pytest.approx([0, 0], abs=5e-3)
    assert hint.amax((1, 2, 3)).tolist() == pytest.approx([1, 1], abs=5e-3)
    assert (hint[0, 20, 1:, 0] >= hint[0, 20, :-1, 0]).all()


def test_depth_is_not_cut_to_256_levels():
    ramp = torch.linspace(0, 1, 2048).view(1, 1, 2048, 1).expand(1, 600, 2048, 3)
    hint = preprocess(MIDAS_DEPTH, ramp, lambda name: Brightness(), {"network_size": 0}).image
    assert hint[0, 0, :, 0].unique().numel() > 2000


@pytest.mark.parametrize("method", [*DEPTHS, MIDAS_NORMALS], ids=lambda method: method.id)
def test_a_flat_picture_gives_a_flat_hint_without_nan(method):
    hint = preprocess(method, torch.full((2, 40, 50, 3), 0.5), lambda name: Brightness()).image
    assert torch.isfinite(hint).all()
    assert float(hint.amax((1, 2)).sub(hint.amin((1, 2))).max()) < 1e-3


@pytest.mark.parametrize(
    ("size", "shorter", "multiple", "expected"),
    [
        ((100, 200), 518, 14, (518, 1036)),
        ((333, 517), 384, 32, (384, 608)),
        ((37, 51), 0, 32, (32, 64)),
        ((16, 8192), 518, 14, (14, 2072)),
        ((2400, 4800), 0, 32, (2048, 4096)),
    ],
)
def test_the_network_sees_its_multiples_and_never_a_giant(size, shorter, multiple, expected):
    network = Brightness()
    estimate(torch.rand(1, *size, 3), network, shorter, multiple)
    assert network.seen == [(1, 3, *expected)]


def test_stretch_is_the_same_for_any_unit():
    depth = torch.rand(2, 9, 9)
    torch.testing.assert_close(stretch(depth), stretch(1000 * depth + 7), atol=1e-4, rtol=0)


def test_midas_normals_equal_the_annotator_written_out():
    """ControlNet v1.0's annotator/midas: Sobel by OpenCV on the raw depth, background flat, z = 2 pi, reversed."""
    import cv2
    import numpy as np

    depth = np.random.default_rng(0).random((33, 47), np.float32) * 30
    threshold = 0.4
    x = cv2.Sobel(depth, cv2.CV_32F, 1, 0, ksize=3)
    y = cv2.Sobel(depth, cv2.CV_32F, 0, 1, ksize=3)
    far = (depth - depth.min()) / (depth.max() - depth.min()) < threshold
    x[far], y[far] = 0, 0
    expected = np.stack([x, y, np.full_like(x, 2 * np.pi)])
    expected /= np.linalg.norm(expected, axis=0)
    got = midas_normals(torch.from_numpy(depth)[None, None], 2 * np.pi, threshold, V10)[0]
    colors = torch.from_numpy(expected[::-1].transpose(1, 2, 0) / 2 + 0.5)
    torch.testing.assert_close(got, colors, atol=1e-5, rtol=1e-4)
