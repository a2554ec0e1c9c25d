"""ViTPose as a method: which file each choice takes, and that the points keep their meaning."""

import pytest
import torch
from torch import nn
from zeroconv.preprocessors.methods.pose_vitpose import VITPOSE, detect_vitpose
from zeroconv.preprocessors.weights.catalogue import catalogue


class Maps(nn.Module):
    """In place of the network: point i has its peak at column i % 30 + 8, row i // 30 * 8 + 12; some are unsure."""

    def __init__(self, count, unsure=()):
        super().__init__()
        self.count, self.unsure = count, unsure

    def forward(self, crops):
        assert crops.shape[1:] == (3, 256, 192)
        rows, columns = torch.arange(64.0)[:, None], torch.arange(48.0)
        index = torch.arange(self.count)
        x, y = (index % 30 + 8)[:, None, None], (index // 30 * 8 + 12)[:, None, None]
        maps = torch.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8)
        maps[list(self.unsure)] *= 0.1
        return maps.expand(len(crops), -1, -1, -1)


def run(count, unsure=(), **settings):
    asked = []

    def networks(name):
        asked.append(name)
        return Maps(count, unsure)

    images = torch.zeros(2, 256, 192, 3)
    frames = detect_vitpose(images, VITPOSE.settings({"detector": "none", **settings}), networks)
    return [frame.poses for frame in frames], asked


def test_whole_bodies_have_all_parts_in_their_order():
    (people, again), asked = run(133, unsure=[9])
    assert asked == ["vitpose_b_wholebody"]
    (pose,) = people
    assert again == people
    assert [len(part) for part in (pose.body, pose.feet, pose.face, pose.left_hand, pose.right_hand)] == [
        18, 6, 70, 21, 21]  # fmt: skip
    assert [index for index, point in enumerate(pose.body) if point is None] == [7]
    # The map's 48 columns reach from the center of the crop's first pixel to that of its last.
    columns = [index % 30 + 8 for index in (0, 17, 23, 91, 112)]
    found = [part[0].x * 192 for part in (pose.body, pose.feet, pose.face, pose.left_hand, pose.right_hand)]
    assert found == [pytest.approx(96 + (column / 47 - 0.5) * 1.25 * 192, abs=0.1) for column in columns]


def test_bodies_alone_have_no_other_parts():
    ((pose,), _), asked = run(17, points="body", model="huge")
    assert asked == ["vitpose_h_coco"]
    assert len(pose.body) == 18
    assert (pose.feet, pose.face, pose.left_hand) == ((), (), ())


def test_every_choice_has_its_weights():
    for model in next(parameter for parameter in VITPOSE.parameters if parameter.name == "model").choices:
        for points in ("whole body", "body"):
            _, (row,) = run(133, model=model, points=points)
            assert catalogue()[row].network == "vitpose"
