"""Zoe's depth as a hint: near is white, borders and mirror images hidden, the official file."""

import pytest
import torch
from zeroconv.benchmarks.models.official_weights import golden_state_dict
from zeroconv.preprocessors.depth_maps import depth_limits
from zeroconv.preprocessors.methods.depth_zoe import ZOE_DEPTH, metric_depth
from zeroconv.preprocessors.networks import zoe
from zeroconv.preprocessors.running import Options, preprocess


class Distance(torch.nn.Module):
    """Says that red tells the distance: 10 m where it is 1. Keeps how many pictures it saw, and their sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[tuple[int, ...]] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(images.shape))
        return images[:, :1] * 10


def test_the_official_file_fits_strictly_without_its_classifier() -> None:
    weights = golden_state_dict("zoe")
    network = zoe.build({"model": weights})
    unused = ("fc_norm", "model.head.", "relative_position_index", "k_idx", "K_minus_1")
    kept = [value.numel() for name, value in weights.items() if not any(part in name for part in unused)]
    assert sum(p.numel() for p in network.parameters()) == sum(kept)
    assert not any(b.is_meta for n, b in network.named_buffers() if "k_idx" in n or "k_minus" in n)
    del weights["conv2.bias"]
    with pytest.raises(ValueError, match="ZoeDepth"):
        zoe.build({"model": weights})


def test_percentiles_2_and_85_are_white_and_black() -> None:
    """As ControlNet v1.1's annotator, written out: the same bits."""
    depth = torch.rand(2, 50, 70, generator=torch.Generator().manual_seed(0)) * 9 + 1
    depth[1] *= 3
    expected = []
    for one in depth:
        near, far = torch.quantile(one, 0.02), torch.quantile(one, 0.85)
        expected.append(((far - one) / (far - near)).clamp(0, 1))
    settings = ZOE_DEPTH.settings()
    assert torch.equal(depth_limits(depth, "meters", settings).apply(depth, invert=False), torch.stack(expected))
    flat = torch.full((1, 20, 20), 4.0)
    assert depth_limits(flat, "meters", settings).apply(flat, invert=False).abs().max() == 0


def test_the_frame_is_cut_off_again_and_the_mirror_image_turned_back() -> None:
    """At the network's own size nothing is resampled: what comes back is the picture's distance, pixel by pixel."""
    height, width = 96 - 2 * 18, 160 - 2 * 24  # the frames of 18 and 24 pixels make them multiples of 32
    picture = torch.rand(1, height, width, 3, generator=torch.Generator().manual_seed(0))
    for mirrored, runs in ((True, 2), (False, 1)):
        network = Distance()
        depth = metric_depth(picture, network, 0, mirrored)
        assert len(network.seen) == runs
        assert depth.shape == (1, 1, height, width)


def test_near_is_white_at_the_size_of_the_picture() -> None:
    picture = torch.zeros(1, 75, 131, 3)
    picture[:, :, :, 0] = torch.linspace(0, 1, 131)
    hint = preprocess(ZOE_DEPTH, picture, lambda name: Distance(), {"network_size": 64}, Options()).image
    assert hint.shape == (1, 75, 131, 3)
    middle = hint[0, 37, :, 0]
    assert middle[2] > 0.97
    assert middle[-5:].max() == 0
    assert (middle.diff() <= 1e-3).all()
