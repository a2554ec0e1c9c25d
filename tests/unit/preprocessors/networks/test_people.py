"""YOLOX and RTMPose: against numbers that the originals' own code gave for the same weights."""

import json
from pathlib import Path

import pytest
import torch
from zeroconv.benchmarks.models.official_weights import golden_state_dict, random_state_dict
from zeroconv.preprocessors.networks import rtmpose, yolox

BUILDS = {"yolox_l": yolox.build, "dw_ll_ucoco_384": rtmpose.build, "rtmpose_m_ap10k": rtmpose.build}
SIZES = {"yolox_l": (64, 96), "dw_ll_ucoco_384": (384, 288), "rtmpose_m_ap10k": (256, 256)}
GAINS = {"yolox_l": 1.35, "dw_ll_ucoco_384": 1.6, "rtmpose_m_ap10k": 1.6}
"""Of the kernels: with these a picture is still to be seen in the answer."""
ANSWERS = json.loads((Path(__file__).parent / "people_answers.json").read_text())
"""Twelve values of each output, from the code of Megvii-BaseDetection/YOLOX (6ddff48) and open-mmlab/mmpose (759b39c),
with batch normalizations as the checkpoints have them."""


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def weights_of(name):
    return {key: value * GAINS[name] if value.dim() == 4 else value for key, value in random_state_dict(name).items()}


@pytest.mark.parametrize("name", BUILDS)
def test_official_weights_fit_strictly(name):
    network = BUILDS[name](golden_state_dict(name))
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize("name", BUILDS)
def test_answers_are_those_of_the_original(name):
    network = BUILDS[name](weights_of(name))
    images = torch.rand(2, 3, *SIZES[name], generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        outputs = network(images)
    assert len(outputs) == len(ANSWERS[name])
    for output, expected in zip(outputs, ANSWERS[name], strict=True):
        step = output.numel() // 12
        values = output.flatten()[step // 2 :: step][:12]
        largest = output.abs().max().item()
        torch.testing.assert_close(values, torch.tensor(expected), rtol=0, atol=1e-5 * largest)


def test_a_batch_is_its_pictures_one_by_one():
    network = rtmpose.build(weights_of("rtmpose_m_ap10k"))
    images = torch.rand(3, 3, 256, 256, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        together, alone = network(images), [network(image[None]) for image in images]
    for index, output in enumerate(together):
        torch.testing.assert_close(output, torch.cat([outputs[index] for outputs in alone]), rtol=0, atol=1e-5)


def test_a_checkpoint_of_a_distillation_gives_the_student():
    plain = golden_state_dict("rtmpose_m_ap10k")
    state_dict = {f"student.{key}": value for key, value in plain.items()}
    teacher = {f"teacher.{key}": value for key, value in plain.items()}
    mean = {"data_preprocessor.mean": torch.zeros(3, 1, 1)}
    network = rtmpose.build({"meta": {}, "state_dict": {**state_dict, **teacher, **mean}})
    assert (network.height, network.width) == (256, 256)


def test_crops_are_normalized_as_in_training():
    red = torch.zeros(1, 3, 1, 2)
    red[:, 0] = 1
    got = rtmpose.normalize(red)[0, :, 0, 0]
    assert got.tolist() == pytest.approx([(255 - 123.675) / 58.395, -116.28 / 57.12, -103.53 / 57.375], abs=1e-5)


def test_half_precision_neither_overflows_nor_moves_the_points():
    """As on a GPU: agreement of large descriptions is squared beyond what half precision holds."""
    weights = weights_of("rtmpose_m_ap10k")
    for key in ("head.gau.gamma", "head.gau.uv.weight"):
        weights[key] = weights[key] * 8
    network = rtmpose.build(weights)
    crop = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        whole = network(crop)
        half = network.half()(crop.half())
    for expected, got in zip(whole, half, strict=True):
        assert torch.isfinite(got).all()
        torch.testing.assert_close(got.float(), expected, rtol=0, atol=0.02 * expected.abs().max().item())
