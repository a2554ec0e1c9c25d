"""Zoe on Depth Anything: against numbers that its authors' own code gave for the same weights, at a small width."""

import pytest
import torch
from zeroconv.benchmarks.models.official_weights import golden_state_dict, random_state_dict
from zeroconv.preprocessors.methods.depth_zoe_anything import ZOE_DEPTH_ANYTHING
from zeroconv.preprocessors.networks import depth_anything, zoe_depth_anything
from zeroconv.preprocessors.running import preprocess

ANSWERS = {
    (98, 140): (
        "0.747718 0.798309 0.729801 0.731619 0.730408 0.75964 0.740426 0.768785 0.728614 0.746709 0.759045 0.74518"
    ),
    (126, 70): (
        "0.74882 0.7411 0.745764 0.740395 0.767026 0.741971 0.779709 0.718248 0.759013 0.733583 0.748527 0.736804"
    ),
    (70, 70): (
        "0.756201 0.734578 0.719337 0.724829 0.734979 0.766383 0.751755 0.719404 0.720906 0.756906 0.742659 0.731324"
    ),
}
"""Twelve values for three pictures of a size, from the code of LiheYoung/Depth-Anything (metric_depth, zoedepth_v1.py)
on a DINOv2 of 4 blocks of 64 channels."""
SMALL = depth_anything.Size(64, 4, 4, 32, (16, 32, 64, 64), (0, 1, 2, 3), (0, 1, 2, 3))


@pytest.fixture
def network(monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setitem(depth_anything.SIZES, SMALL.width, SMALL)
    return zoe_depth_anything.build({"model": random_state_dict("depth_anything_metric_depth_small")})


@pytest.mark.parametrize(("height", "width"), ANSWERS)
def test_answers_are_those_of_the_original(network, height, width):
    images = torch.rand(3, 3, height, width, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        depth = network(images)
    assert depth.shape == (3, 1, height, width)
    assert (depth[0] - depth[1]).abs().mean() > 1e-2
    step = depth.numel() // 12
    values = depth.flatten()[step // 2 :: step][:12]
    expected = torch.tensor([float(value) for value in ANSWERS[height, width].split()])
    torch.testing.assert_close(values, expected, rtol=0, atol=3e-6)


def test_official_weights_fit_strictly_and_others_are_refused():
    weights = golden_state_dict("depth_anything_metric_depth")
    network = zoe_depth_anything.build({"model": weights})
    unused = ("mask_token", "k_idx", "K_minus_1")
    kept = [value.numel() for name, value in weights.items() if not any(part in name for part in unused)]
    assert sum(p.numel() for p in network.parameters()) == sum(kept)
    assert not any(b.is_meta for name, b in network.named_buffers() if "k_idx" in name or "k_minus" in name)
    del weights["attractors.0._net.0.bias"]
    with pytest.raises(ValueError, match="ZoeDepthAnything"):
        zoe_depth_anything.build({"model": weights})
    with pytest.raises(ValueError, match="not Zoe on Depth Anything"):
        zoe_depth_anything.build({"model": golden_state_dict("zoe")})


class Meters(torch.nn.Module):
    """Says that the distance grows from 1 m at the top to 5 m at the bottom."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, images):
        rows = torch.linspace(1, 5, images.shape[2])[None, None, :, None]
        return rows.expand(len(images), 1, -1, images.shape[3])


def test_the_scene_chooses_the_file_and_the_near_is_white():
    asked = []

    def networks(name):
        asked.append(name)
        return Meters()

    for scene in ("indoor", "outdoor"):
        hint = preprocess(ZOE_DEPTH_ANYTHING, torch.rand(1, 50, 71, 3), networks, {"scene": scene})
        assert hint.image.shape == (1, 50, 71, 3)
        assert hint.image[0, 0].min() > 0.99
        assert hint.image[0, -1].max() < 0.01
        assert hint.depth is not None
        assert hint.depth[0, 0, 0] < 1.1
    assert asked == ["zoe_da_indoor", "zoe_da_outdoor"]
