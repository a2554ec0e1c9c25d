"""Segmentation: official weights, classes, colors and channel order."""

import pytest
import torch
from zeroconv.benchmarks.models.official_weights import golden_state_dict
from zeroconv.preprocessors import palettes
from zeroconv.preprocessors.description import Inputs
from zeroconv.preprocessors.methods.segmentation import ONEFORMER_COCO, UNIFORMER, strongest_class, uniformer_labels
from zeroconv.preprocessors.networks import oneformer, uniformer
from zeroconv.preprocessors.running import Options, preprocess


def test_official_weights_fit_strictly():
    weights = golden_state_dict("uniformer_upernet_global_small")
    network = uniformer.build({"state_dict": weights, "meta": {"CLASSES": ("wall",)}})
    unused = sum(v.numel() for n, v in weights.items() if n.startswith("auxiliary_head.") and "running" not in n)
    assert sum(p.numel() for p in network.parameters()) == 51_521_132 - (unused - 1)


def test_the_palette_is_that_of_ade20k():
    palette = (palettes.ade20k() * 255).round().int()
    assert palette.shape == (150, 3)
    assert palette[:5].tolist() == [[120, 120, 120], [180, 120, 120], [6, 230, 230], [80, 50, 50], [4, 200, 3]]
    assert len({tuple(color) for color in palette.tolist()}) == 149
    assert palette[6].tolist() == palette[48].tolist() == [140, 140, 140]


@pytest.mark.parametrize(("height", "width"), [(64, 96), (37, 53), (8, 8)])
def test_strips_give_the_classes_of_one_enlargement(height, width, monkeypatch):
    logits = torch.randn(2, 150, 8, 12, generator=torch.Generator().manual_seed(0))
    enlarged = torch.nn.functional.interpolate(logits, (height, width), mode="bilinear", align_corners=False)
    monkeypatch.setattr("zeroconv.preprocessors.methods.segmentation._STRIP_VALUES", 2 * 150 * width * 5)
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


def test_colors_are_exactly_those_of_the_classes_in_the_order_of_the_picture():
    picture = torch.zeros(1, 64, 80, 3)
    picture[:, :, :40, 0], picture[:, :, 40:, 2] = 1, 1
    settings = UNIFORMER.settings()
    labels = uniformer_labels(Inputs(picture, settings, lambda name: RedOrBlue()))
    assert labels[0, 10, 5] == 3
    assert labels[0, 10, 75] == 7
    hint = preprocess(UNIFORMER, picture, lambda name: RedOrBlue())
    assert hint.image.shape == picture.shape
    assert hint.labels is not None
    assert torch.equal(hint.labels, labels)
    assert {tuple(c) for c in hint.image.reshape(-1, 3).tolist()} == {
        tuple(palettes.ade20k()[i].tolist()) for i in (3, 7)
    }
    swapped = UNIFORMER.settings({"reference_channels": True})
    assert uniformer_labels(Inputs(picture, swapped, lambda name: RedOrBlue()))[0, 10, 5] == 7


def test_a_large_picture_has_the_classes_of_a_small_one():
    picture = torch.zeros(1, 128, 1280, 3)
    picture[:, :, :600, 0], picture[:, :, 600:, 2] = 1, 1
    settings = UNIFORMER.settings({"network_size": 32})
    labels = uniformer_labels(Inputs(picture, settings, lambda name: RedOrBlue()))
    assert labels.shape == (1, 128, 1280)
    assert labels.unique().tolist() == [3, 7]
    assert (labels[0, :, :590] == 3).all()
    assert (labels[0, :, 640:] == 7).all()


def test_classes_stay_whole_at_the_size_of_the_input():
    """Neither colors nor classes are mixed when the hint is enlarged."""
    picture = torch.zeros(1, 90, 130, 3)
    picture[:, :, :61, 0], picture[:, :, 61:, 2] = 1, 1
    hint = preprocess(ONEFORMER_COCO, picture, lambda name: RedOrBlue(), options=Options(32, result_size="input"))
    assert hint.labels is not None
    assert hint.labels.shape == (1, 90, 130)
    assert hint.labels.unique().tolist() == [3, 7]
    assert torch.equal(hint.image, palettes.coco()[hint.labels])


def test_the_palette_of_coco_has_a_color_for_each_class():
    palette = (palettes.coco() * 255).round().int().tolist()
    assert palette[:3] == [[220, 20, 60], [119, 11, 32], [0, 0, 142]]
    assert len({tuple(color) for color in palette}) == len(palette) == 133


@pytest.mark.parametrize(("classes", "queries"), [(150, 250), (133, 150)])
def test_both_official_oneformer_files_fit_strictly(classes, queries):
    weights = golden_state_dict("oneformer_ade20k")
    predictor = "sem_seg_head.predictor"
    weights[f"{predictor}.query_embed.weight"] = torch.zeros(queries, 256, device="meta")
    weights[f"{predictor}.class_embed.weight"] = torch.zeros(classes + 1, 256, device="meta")
    weights[f"{predictor}.class_embed.bias"] = torch.zeros(classes + 1, device="meta")
    network = oneformer.build({"model": weights})
    kept = [n for n in weights if not n.startswith(("criterion.", "text_", "prompt_ctx.")) and "index" not in n]
    assert sum(p.numel() for p in network.parameters()) == sum(weights[name].numel() for name in kept)
    del weights["task_mlp.layers.0.weight"]
    with pytest.raises(ValueError, match=r"task_mlp\.layers\.0\.weight"):
        oneformer.build({"model": weights})
