"""Metric3D v2: against numbers that its authors' own code gave for the same weights, and its camera."""

import math

import pytest
import torch
from zeroconv.benchmarks.models.official_weights import golden_state_dict, random_state_dict
from zeroconv.preprocessors.methods.metric3d import METRIC3D_DEPTH, METRIC3D_NORMALS
from zeroconv.preprocessors.networks import metric3d
from zeroconv.preprocessors.running import Options, preprocess

ANSWERS = {
    (84, 140): (
        "109.718 0.597797 0.796215 0.0931649 88.4789 0.53057 0.846663 -0.0407151 104.841 0.610398 0.787417 0.0859644"
    ),
    (112, 56): (
        "89.4036 0.719798 0.654318 -0.23186 96.3049 0.423398 0.870581 -0.250643 101.319 0.491099 0.8619 -0.126293"
    ),
    (28, 28): (
        "72.2441 0.471595 0.846648 -0.246545 89.278 0.351012 0.843107 -0.407383 94.5031 0.50694 0.856594 0.096218"
    ),
}
"""Twelve values for three pictures of a size, from the code of YvanYin/Metric3D (`vit.raft5.small.py`): the depth, and
the normals, which it tells to the right, down and away from the camera."""
UNIT = torch.tensor([100.0, 1, 1, 1])
"""What a value of each channel is compared in: depth is told in hundreds of metres."""


def random_weights():
    weights = random_state_dict("metric3d_vits")
    for name in weights:
        if ".norm3." in name:  # the same weights under two names
            weights[name] = weights[name.replace("norm3", "downsample.1")]
        if name.endswith(("conv2d.weight", "conv2n.weight")):  # else four rounds lead far away
            weights[name] *= 0.3
    return weights


@pytest.fixture(scope="module")
def network():
    torch.set_num_threads(1)
    return metric3d.build({"model_state_dict": random_weights()})


def pictures(height, width):
    return torch.rand(3, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(("height", "width"), ANSWERS)
def test_answers_are_those_of_the_original(network, height, width):
    with torch.inference_mode():
        outputs = network(pictures(height, width))
    assert outputs.shape == (3, 4, height, width)
    step = outputs.numel() // 12
    picked = torch.arange(step // 2, outputs.numel(), step)[:12]
    units = UNIT[picked // (height * width) % 4]
    expected = torch.tensor([float(value) for value in ANSWERS[height, width].split()])
    torch.testing.assert_close(outputs.flatten()[picked] / units, expected / units, rtol=0, atol=1e-5)


def test_a_batch_is_its_pictures_one_by_one(network):
    images = pictures(56, 84)
    with torch.inference_mode():
        together, alone = network(images), torch.cat([network(image[None]) for image in images])
    assert (together[0] - together[1])[1:].abs().mean() > 1e-2
    torch.testing.assert_close(together[:, 1:], alone[:, 1:], rtol=0, atol=1e-4)
    torch.testing.assert_close(together[:, 0], alone[:, 0], rtol=0, atol=1e-2)


def test_official_weights_fit_strictly_and_others_are_refused():
    weights = golden_state_dict("metric3d_vits")
    built = metric3d.build({"model_state_dict": weights}).state_dict()
    twice = [name for name in weights if ".norm3." in name or name.endswith("mask_token")]
    assert len(built) == len(weights) - len(twice)
    del weights["depth_model.decoder.update_block.gru08.convz.bias"]
    with pytest.raises(ValueError, match="Metric3D"):
        metric3d.build({"model_state_dict": weights})
    with pytest.raises(ValueError, match="not Metric3D v2"):
        metric3d.build(golden_state_dict("depth_anything_v2_vits"))


@pytest.mark.parametrize("width", [1024, 1536])
def test_large_and_giant_have_the_shapes_of_their_authors_configuration(width):
    """vit.raft5.large.py and vit.raft5.giant2.py: channels of the decoder and of the rounds."""
    size = metric3d.SIZES[width]
    with torch.device("meta"):
        large = metric3d.Metric3D(size)
    shapes = {name: tuple(value.shape) for name, value in large.state_dict().items()}
    hidden = {1024: 128, 1536: 192}[width]
    assert shapes["decoder.update_block.gru16.convq.weight"] == (hidden, 3 * hidden, 3, 3)
    assert shapes["decoder.decoder_mono.upconv_1.out_conv.weight"] == (width // 4 + 2, width // 2, 1, 1)
    assert shapes["encoder.register_tokens"] == (1, 4, width)
    assert size.rounds == 8
    stored = {name.replace("blocks.", "blocks.0."): value for name, value in large.state_dict().items()}
    rebuilt = metric3d.build(stored)
    assert rebuilt.get_submodule("encoder.blocks")[-1].mlp._get_name() == ("SwiGlu" if width == 1536 else "Mlp")


class TenMeters(torch.nn.Module):
    """Says that all is 10 m away for a focal length of 1000 pixels, and faces up."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen = []

    def forward(self, images):
        self.seen.append(tuple(images.shape))
        outputs = torch.zeros(len(images), 4, *images.shape[2:])
        outputs[:, 0], outputs[:, 2] = 10, 1
        return outputs


@pytest.mark.parametrize("side", [112, 224])
def test_the_depth_is_that_of_the_lens_whatever_the_network_sees(side):
    """At 1000 pixels of focal length in the picture as the network sees it, its depth is true."""
    picture = torch.rand(2, 56, 84, 3)
    settings = {"network_size": side, "focal_length": 1000 * 56 / side}
    depth = preprocess(METRIC3D_DEPTH, picture, lambda name: TenMeters(), settings, Options(chunk=2)).depth
    assert depth is not None
    torch.testing.assert_close(depth, torch.full((2, 56, 84), 10.0))


def test_without_a_focal_length_the_field_of_view_tells_it():
    picture = torch.rand(1, 56, 84, 3)
    settings = {"network_size": 56, "field_of_view": 40.0}
    depth = preprocess(METRIC3D_DEPTH, picture, lambda name: TenMeters(), settings).depth
    assert depth is not None
    expected = 10 * 42 / math.tan(math.radians(20)) / 1000
    assert depth[0, 5, 5] == pytest.approx(expected, rel=1e-5)


def test_up_is_green_at_the_size_of_the_picture():
    network = TenMeters()
    hint = preprocess(METRIC3D_NORMALS, torch.rand(2, 50, 71, 3), lambda name: network, {"network_size": 56}).image
    assert hint.shape == (2, 50, 71, 3)
    assert hint[1, 20, 20].tolist() == [0.5, 1.0, 0.5]
    assert network.seen == [(1, 3, 56, 84)] * 2
