"""OpenPose's networks, reading and drawing against the package controlnet-aux."""

import colorsys
import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from zeroconv.benchmarks.sides.reference_packages import controlnet_aux
from zeroconv.preprocessors.methods.pose_openpose import hand_maps
from zeroconv.preprocessors.networks import openpose
from zeroconv.preprocessors.pose.assembly import assemble_people
from zeroconv.preprocessors.pose.drawing.canvas import xinsir_style
from zeroconv.preprocessors.pose.drawing.openpose import LIMBS
from zeroconv.preprocessors.pose.drawing.poses import draw_poses
from zeroconv.preprocessors.pose.keypoints import Keypoint, Pose
from zeroconv.preprocessors.pose.parts import Square, face_square, hand_keypoints, hand_square


def randomised(network, seed=0):
    """Random weights that keep the activations of a deep stack of convolutions near 1."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 100
        parameter.data = torch.randn(parameter.shape, generator=generator) * math.sqrt(2 / fan_in)
    return network.eval()


@pytest.mark.parametrize(
    ("module", "name", "build", "size"),
    [
        ("open_pose.model", "bodypose_model", openpose.build_body, (32, 40)),
        ("open_pose.model", "handpose_model", openpose.build_hand, (32, 32)),
        ("open_pose.face", "FaceNet", openpose.build_face, (32, 32)),
    ],
)
def test_networks_equal_controlnet_aux(module, name, build, size):
    torch.set_num_threads(1)
    reference = randomised(getattr(controlnet_aux(module), name)())
    ours = build(reference.state_dict())
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = reference(images.flip(1) * 255 / 256 - 0.5)
        got = ours(images)
    if name == "handpose_model":
        expected = [expected]
    elif name == "FaceNet":
        expected = expected[-1:]
    assert len(got) == len(expected)
    for ours_map, reference_map in zip(got, expected, strict=True):
        assert reference_map.abs().max() > 1e-3
        torch.testing.assert_close(ours_map, reference_map, rtol=1e-4, atol=1e-5)


def random_pose(seed, missing=()):
    generator = np.random.default_rng(seed)

    def points(count):
        return tuple(
            None if i in missing else Keypoint(*generator.uniform(0.05, 0.95, 2).tolist()) for i in range(count)
        )

    return Pose(points(18), points(21), points(21), points(70))


def reference_keypoints(util, points):
    return [None if p is None else util.Keypoint(p.x, p.y) for p in points]


@pytest.mark.parametrize(("height", "width"), [(512, 512), (333, 517)])
def test_drawing_equals_controlnet_aux(height, width, monkeypatch):
    util = controlnet_aux("open_pose.util")
    colors = SimpleNamespace(hsv_to_rgb=lambda hsv: np.array(colorsys.hsv_to_rgb(*hsv)))
    monkeypatch.setitem(sys.modules, "matplotlib", SimpleNamespace(colors=colors))
    poses = [random_pose(1), random_pose(2)]
    canvas = np.zeros((height, width, 3), np.uint8)
    for pose in poses:
        util.draw_bodypose(canvas, reference_keypoints(util, pose.body))
        util.draw_handpose(canvas, reference_keypoints(util, pose.left_hand))
        util.draw_handpose(canvas, reference_keypoints(util, pose.right_hand))
        util.draw_facepose(canvas, reference_keypoints(util, pose.face))
    assert np.array_equal((draw_poses(poses, height, width) * 255).round().byte().numpy(), canvas)


def test_body_drawing_equals_controlnet_aux_with_missing_joints():
    util = controlnet_aux("open_pose.util")
    pose = Pose(random_pose(3, missing=(0, 4, 9)).body)
    canvas = util.draw_bodypose(np.zeros((480, 640, 3), np.uint8), reference_keypoints(util, pose.body))
    assert np.array_equal((draw_poses([pose], 480, 640) * 255).round().byte().numpy(), canvas)


def test_xinsir_limbs_are_wider_and_joints_are_not():
    pose = Pose(random_pose(3).body)
    plain, thick = draw_poses([pose], 1024, 1024), draw_poses([pose], 1024, 1024, xinsir_style(1024, 1024))
    assert (thick.amax(-1) > 0).sum() > 1.5 * (plain.amax(-1) > 0).sum()
    assert xinsir_style(499, 400).limb_width == 4
    assert xinsir_style(512, 512).limb_width == 8
    assert xinsir_style(1024, 768).limb_width == 12
    assert xinsir_style(9000, 768).limb_width == 28


def test_squares_of_hands_and_face_inside_the_picture_equal_controlnet_aux():
    util = controlnet_aux("open_pose.util")
    height, width = 600, 800
    generator = np.random.default_rng(0)
    compared = 0
    for _ in range(100):
        body = [Keypoint(*(0.5 + generator.uniform(-0.05, 0.05, 2)).tolist()) for _ in range(18)]
        result = util.BodyResult([util.Keypoint(p.x * width, p.y * height) for p in body], 1.0, 18)
        image = np.zeros((height, width, 3))
        squares = {(s.left, s.top, s.side, left)
                   for left in (True, False) if (s := hand_square(tuple(body), left, height, width))}  # fmt: skip
        assert squares == set(util.handDetect(result, image))
        face = face_square(tuple(body), height, width)
        expected = util.faceDetect(result, image)
        assert (face and (face.left, face.top, face.side)) == expected
        compared += expected is not None
    assert compared > 50


class KnownMaps(torch.nn.Module):
    """In place of the network: gives controlnet-aux the maps that it is to read."""

    def __init__(self, fields, maps):
        super().__init__()
        self.fields, self.maps = torch.nn.Parameter(fields, requires_grad=False), maps

    def forward(self, images):
        assert images.shape[2] // 8 == self.maps.shape[1]
        return self.fields[None], self.maps[None]


FIELDS = ((12, 13), (20, 21), (14, 15), (16, 17), (22, 23), (24, 25), (0, 1), (2, 3), (4, 5), (6, 7), (8, 9),
          (10, 11), (28, 29), (30, 31), (34, 35), (32, 33), (36, 37))  # fmt: skip


def ideal_maps(people, height=23, width=31):
    """What a perfect network says of `people`, (18, 2) arrays in cells: Gaussians of 7 pixels, unit vector fields."""
    y, x = torch.meshgrid(torch.arange(height) * 1.0, torch.arange(width) * 1.0, indexing="ij")
    maps, fields = torch.zeros(19, height, width), torch.zeros(38, height, width)
    for person in people:
        for part, (px, py) in enumerate(person):
            maps[part] = torch.maximum(maps[part], torch.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 0.875**2)))
        for (start, end), (fx, fy) in zip(LIMBS, FIELDS, strict=True):
            a, b = torch.tensor(person[start]), torch.tensor(person[end])
            length = (b - a).norm()
            ux, uy = ((b - a) / length).tolist()
            along = (x - a[0]) * ux + (y - a[1]) * uy
            across = ((x - a[0]) * uy - (y - a[1]) * ux).abs()
            near = (along > -1) & (along < length + 1) & (across < 1.0)
            fields[fx][near], fields[fy][near] = ux, uy
    return fields, maps


STANDING = np.array([
    (0, -7), (0, -5), (-2, -5), (-3, -2), (-3.5, 1), (2, -5), (3, -2), (3.5, 1), (-1.2, 1), (-1.3, 5), (-1.4, 9),
    (1.2, 1), (1.3, 5), (1.4, 9), (-0.8, -7.8), (0.8, -7.8), (-1.8, -7.4), (1.8, -7.4),
])  # fmt: skip


def test_reading_of_the_body_maps_agrees_with_controlnet_aux():
    """Two people; the same skeletons, points within 2.5 pixels of a picture in which a cell is 22 pixels."""
    people = [STANDING + np.array([8.3, 11.2]), STANDING * 0.9 + np.array([22.6, 11.7])]
    fields, maps = ideal_maps(people)
    controlnet_aux("open_pose.util")  # its two modules import each other: this one must come first
    body = controlnet_aux("open_pose.body")
    reader = body.Body.__new__(body.Body)
    reader.model = KnownMaps(fields, maps)
    height, width = 506, 682
    candidate, subset = reader(np.zeros((height, width, 3), np.uint8))
    expected = body.Body.format_body_result(candidate, subset)
    found = assemble_people(fields, maps, height / 22, width / 22)
    assert len(found) == len(expected) == 2
    expected.sort(key=lambda person: person.keypoints[0].x)
    for ours, theirs, truth in zip(sorted(found, key=lambda p: p[0].x), expected, people, strict=True):
        assert [p is None for p in ours] == [p is None for p in theirs.keypoints] == [False] * 18
        for point, reference, exact in zip(ours, theirs.keypoints, truth, strict=True):
            assert math.dist((point.x * width, point.y * height), (reference.x + 0.5, reference.y + 0.5)) < 2.5
            assert math.dist((point.x * width / 22 - 0.5, point.y * height / 22 - 0.5), exact) < 0.05


class KnownHand(torch.nn.Module):
    """In place of the hand network: Gaussians at the same places of the crop, whatever its size."""

    def __init__(self, places):
        super().__init__()
        self.places = torch.nn.Parameter(torch.tensor(places, dtype=torch.float32), requires_grad=False)

    def forward(self, images):
        height, width = images.shape[2] // 8, images.shape[3] // 8
        y, x = torch.meshgrid((torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij")
        distance = (x - self.places[:, 0, None, None]) ** 2 + (y - self.places[:, 1, None, None]) ** 2
        return torch.exp(-distance / (2 * 0.05**2))[None].expand(len(images), -1, -1, -1)


class InTuple(torch.nn.Module):
    """Our networks answer with a tuple of their branches."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        return (self.network(images),)


def test_reading_of_the_hand_maps_agrees_with_controlnet_aux():
    """Within 2 pixels of a crop of 150."""
    places = np.random.default_rng(0).uniform(0.15, 0.85, (22, 2))
    crop = np.random.default_rng(1).random((150, 150, 3), np.float32)
    controlnet_aux("open_pose.util")
    hand = controlnet_aux("open_pose.hand")
    reference = hand.Hand.__new__(hand.Hand)
    reference.model = KnownHand(places)
    expected = reference((crop * 255).astype(np.uint8))
    maps = hand_maps([crop], InTuple(KnownHand(places)))
    points = hand_keypoints(maps[0], Square(0, 0, 150), 150, 150)
    assert len(points) == len(expected) == 21
    for point, pixel, exact in zip(points, expected, places, strict=False):
        assert math.dist((point.x * 150, point.y * 150), pixel + 0.5) < 2
        assert math.dist((point.x, point.y), exact) < 0.005
