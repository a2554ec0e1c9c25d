"""Animal pose: which classes are looked for, and that the points land in the picture, in AP-10K's order."""

import numpy as np
import pytest
import torch
from torch import nn
from zeroconv.preprocessors.description import Inputs
from zeroconv.preprocessors.methods.pose_animal import ANIMAL_POSE, detect_animals

CAT, PERSON, HORSE, TRUCK = 15, 0, 17, 7


class Detector(nn.Module):
    """In place of YOLOX: one thing of each class in a corner of its own of every picture."""

    def __init__(self, *classes):
        super().__init__()
        self.classes = classes

    def forward(self, images):
        rows = torch.zeros(len(images), 8400, 85)
        for place, kind in enumerate(self.classes):
            row = rows[:, 6400 + 5 * 40 + 10 * place]
            row[:, :4] = torch.tensor([0.5, 0.5, np.log(8), np.log(8)])
            row[:, 4], row[:, 5 + kind] = 1, 0.9
        return (rows,)


class Points(nn.Module):
    """In place of the pose network: point i lies at column 8 i, row 4 i of the crop, with the score i / 16."""

    def __init__(self):
        super().__init__()
        self.counts = []

    def forward(self, crops):
        assert crops.shape[1:] == (3, 256, 256)
        self.counts.append(len(crops))
        across, down = torch.zeros(2, len(crops), 17, 512)
        for index in range(17):
            across[:, index, 16 * index] = down[:, index, 8 * index] = index / 16
        return across, down


def run(count=1, settings=None, classes=(CAT,)):
    pose = Points()
    networks = {"dwpose_det": Detector(*classes), "rtmpose_animal": pose}
    settings = ANIMAL_POSE.settings(settings)
    return detect_animals(torch.zeros(count, 640, 640, 3), settings, networks.__getitem__), pose


def test_animals_are_found_and_people_and_things_are_not():
    (frame,), _ = run(classes=(PERSON, CAT, TRUCK, HORSE))
    assert len(frame.poses) == 2
    left, right = (pose.animal[16].x * 640 for pose in frame.poses)
    assert sorted([left, right]) == pytest.approx(sorted([left, left + 320 * (1 if right > left else -1)]), abs=1)


def test_points_lie_where_the_crop_has_them_and_all_are_kept_by_default():
    """A box of 128 pixels around (8, 88): the crop is a quarter larger, 160 pixels for 256."""
    (frame,), _ = run()
    (animal,) = (pose.animal for pose in frame.poses)
    assert len(animal) == 17
    for index, point in enumerate(animal[1:], 1):
        expected = 8 - 80 + 8 * index * 160 / 256, 88 - 80 + 4 * index * 160 / 256
        assert (point.x * 640, point.y * 640) == pytest.approx(expected, abs=0.01)
        assert point.score == pytest.approx(index / 16)
    (frame,), _ = run(settings={"point_score": 0.5})
    assert [point is None for point in frame.poses[0].animal] == [index < 8 for index in range(17)]


def test_all_animals_of_a_batch_pass_the_network_together_and_none_is_a_black_picture():
    frames, pose = run(count=3, classes=(CAT, HORSE))
    assert ([len(frame.poses) for frame in frames], pose.counts) == ([2, 2, 2], [6])
    frames, pose = run(count=2, classes=(PERSON,))
    assert (frames[0].poses, pose.counts) == ((), [])
    inputs = Inputs(torch.rand(2, 50, 60, 3), ANIMAL_POSE.settings(), {"dwpose_det": Detector()}.__getitem__)
    hint = ANIMAL_POSE.run(inputs)
    assert hint.image.shape == (2, 50, 60, 3)
    assert hint.image.amax() == 0


def test_without_a_detector_the_whole_picture_is_one_animal():
    (frame,), _ = run(settings={"detector": "none"})
    (pose,) = frame.poses
    assert pose.animal[16].x * 640 == pytest.approx(320 - 400 + 128 * 800 / 256)
