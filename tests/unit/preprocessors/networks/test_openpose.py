"""OpenPose's networks and the whole method on them."""

import pytest
import torch
from zeroconv.benchmarks.models.official_weights import golden_state_dict
from zeroconv.preprocessors.description import Inputs
from zeroconv.preprocessors.methods.pose_openpose import OPENPOSE, detect_openpose
from zeroconv.preprocessors.networks import openpose
from zeroconv.preprocessors.pose.drawing.poses import draw_frames
from zeroconv.preprocessors.pose.drawing.style import pose_style

BUILDS = {"body": openpose.build_body, "hand": openpose.build_hand, "face": openpose.build_face}


@pytest.mark.parametrize("name", BUILDS)
def test_official_weights_fit_strictly(name):
    network = BUILDS[name](golden_state_dict(f"openpose_{name}"))
    assert not network.training


def test_the_files_of_the_hub_have_no_module_names():
    flat = {key.split(".", 1)[1]: value for key, value in golden_state_dict("openpose_body").items()}
    assert sum(p.numel() for p in openpose.build_body(flat).parameters()) == 52_311_446


def test_a_foreign_file_is_refused_in_words():
    with pytest.raises(ValueError, match="does not fit PoseMachine"):
        openpose.build_hand(golden_state_dict("openpose_body"))


class Recorder(torch.nn.Module):
    """A network that sees where the picture is bright: its answer is a person below the brightest column."""

    def __init__(self, channels):
        super().__init__()
        self.channels = channels
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen = []

    def forward(self, images):
        self.seen.append(tuple(images.shape))
        size = (images.shape[2] // 8, images.shape[3] // 8)
        return tuple(torch.full((len(images), maps, *size), 0.0) for maps in self.channels)


def test_one_forward_for_the_whole_batch_at_the_height_asked_for():
    network = Recorder((38, 19))
    images = torch.rand(3, 100, 150, 3)
    frames = detect_openpose(images, OPENPOSE.settings({"detection_height": 184}), lambda name: network)
    assert network.seen == [(3, 3, 184, 280)]
    assert [(f.height, f.width, f.poses) for f in frames] == [(100, 150, ())] * 3


@pytest.mark.parametrize(("size", "seen"), [((16, 8192), (8, 1104)), ((4096, 64), (184, 8)), ((37, 51), (184, 256))])
def test_any_size_is_seen_in_bounded_memory(size, seen):
    network = Recorder((38, 19))
    detect_openpose(torch.rand(1, *size, 3), OPENPOSE.settings({"detection_height": 184}), lambda name: network)
    assert network.seen == [(1, 3, *seen)]


class Standing(Recorder):
    """Sees one person in every picture, whatever is in it."""

    def forward(self, images):
        fields, maps = super().forward(images)
        height, width = maps.shape[2:]
        rows, columns = torch.meshgrid(torch.arange(height) * 1.0, torch.arange(width) * 1.0, indexing="ij")
        points = {0: (0.5, 0.2), 1: (0.5, 0.4), 5: (0.6, 0.4), 6: (0.6, 0.6), 7: (0.6, 0.8), 15: (0.56, 0.16)}
        for part, (x, y) in points.items():
            distance = (columns - x * width) ** 2 + (rows - y * height) ** 2
            maps[:, part] = torch.exp(-distance / (2 * 0.875**2))
        fields[:, 20], fields[:, 23], fields[:, 25], fields[:, 29] = 1, 1, 1, -1
        fields[:, 32], fields[:, 33] = 0.83, -0.55
        return fields, maps


class Constant(Recorder):
    def forward(self, images):
        (maps,) = super().forward(images)
        maps[..., maps.shape[2] // 2, maps.shape[3] // 2] = 1
        return (maps,)


def test_hands_and_faces_of_the_batch_pass_their_networks_together():
    networks = {
        "openpose_body": Standing((38, 19)),
        "openpose_hand": Constant((22,)),
        "openpose_face": Constant((71,)),
    }
    images = torch.rand(2, 256, 256, 3)
    frames = detect_openpose(images, OPENPOSE.settings(), networks.__getitem__)
    assert [len(frame.poses) for frame in frames] == [1, 1]
    pose = frames[0].poses[0]
    assert [i for i, point in enumerate(pose.body) if point] == [0, 1, 5, 6, 7, 15]
    assert len(pose.left_hand) == 21
    assert pose.right_hand == ()
    assert len(pose.face) == 70
    assert [shape[0] for shape in networks["openpose_hand"].seen] == [2, 2, 2, 2]
    assert networks["openpose_face"].seen == [(2, 3, 384, 384)]


def test_parts_switched_off_need_no_network():
    network = Standing((38, 19))
    settings = OPENPOSE.settings({"hands": False, "face": False})
    hint = OPENPOSE.run(Inputs(torch.rand(2, 256, 200, 3), settings, {"openpose_body": network}.__getitem__))
    assert hint.image.shape == (2, 256, 200, 3)
    assert hint.image.amax() == 1
    assert hint.image.amin() == 0
    assert torch.equal(hint.image[0], hint.image[1])
    assert hint.poses is not None
    assert torch.equal(draw_frames(hint.poses, pose_style(settings, 256, 200)), hint.image)
