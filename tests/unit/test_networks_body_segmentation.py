"""Segmentation: official weights, classes, colours and channel order."""

import pytest
import torch
from support.golden import golden_state_dict
from zeroconv.preprocessors import palettes
from zeroconv.preprocessors.networks import uniformer
from zeroconv.preprocessors.segmentation import UNIFORMER, strongest_class, uniformer_labels


def test_official_weights_fit_strictly():
    weights = golden_state_dict("uniformer_upernet_global_small")
    network = uniformer.build({"state_dict": weights, "meta": {"CLASSES": ("wall",)}})
    unused = sum(v.numel() for n, v in weights.items() if n.startswith("auxiliary_head.") and "running" not in n)
    assert sum(p.numel() for p in network.parameters()) == 51_521_132 - (unused - 1)


def test_the_palette_is_that_of_ade20k():
    palette = (palettes.ade20k() * 255).round().int()
    assert palette.shape == (150, 3)
    assert palette[:5].tolist() == [[120, 120, 120], [180, 120, 120], [6, 230, 230], [80, 50, 50], [4, 200, 3]]
    assert len({tuple(colour) for colour in palette.tolist()}) == 149
    assert palette[6].tolist() == palette[48].tolist() == [140, 140, 140]


@pytest.mark.parametrize(("height", "width"), [(64, 96), (37, 53), (8, 8)])
def test_strips_give_the_classes_of_one_enlargement(height, width, monkeypatch):
    logits = torch.randn(2, 150, 8, 12, generator=torch.Generator().manual_seed(0))
    enlarged = torch.nn.functional.interpolate(logits, (height, width), mode="bilinear", align_corners=False)
    monkeypatch.setattr("zeroconv.preprocessors.segmentation._STRIP_VALUES", 2 * 150 * width * 5)
    assert (strongest_class(logits, height, width) == enlarged.argmax(1)).float().mean() > 0.999


class RedOrBlue(torch.nn.Module):
    """Calls red pixels class 3 and blue ones class 7."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, images):
        logits = torch.zeros(len(images), 150, *images.shape[2:])
        logits[:, 3], logits[:, 7] = images[:, 0], images[:, 2]
        return logits


def test_colours_are_exactly_those_of_the_classes_in_the_order_of_the_picture():
    picture = torch.zeros(1, 64, 80, 3)
    picture[:, :, :40, 0], picture[:, :, 40:, 2] = 1, 1
    settings = UNIFORMER.settings()
    labels = uniformer_labels(picture, settings, lambda name: RedOrBlue())
    assert labels[0, 10, 5] == 3
    assert labels[0, 10, 75] == 7
    hint = UNIFORMER.run(picture, settings, lambda name: RedOrBlue())
    assert hint.shape == picture.shape
    assert {tuple(c) for c in hint.reshape(-1, 3).tolist()} == {tuple(palettes.ade20k()[i].tolist()) for i in (3, 7)}
    swapped = UNIFORMER.settings({"reference_channels": True})
    assert uniformer_labels(picture, swapped, lambda name: RedOrBlue())[0, 10, 5] == 7


def test_a_large_picture_has_the_classes_of_a_small_one():
    picture = torch.zeros(1, 128, 1280, 3)
    picture[:, :, :600, 0], picture[:, :, 600:, 2] = 1, 1
    settings = UNIFORMER.settings({"network_size": 32})
    labels = uniformer_labels(picture, settings, lambda name: RedOrBlue())
    assert labels.shape == (1, 128, 1280)
    assert labels.unique().tolist() == [3, 7]
    assert (labels[0, :, :590] == 3).all()
    assert (labels[0, :, 640:] == 7).all()
