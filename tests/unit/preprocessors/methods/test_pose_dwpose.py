"""DWPose: reading of both networks' answers, and where the points land in the picture."""

import cv2
import numpy as np
import pytest
import torch
from torch import nn
from zeroconv.preprocessors.description import Inputs
from zeroconv.preprocessors.methods.pose_dwpose import DWPOSE, detect_dwpose
from zeroconv.preprocessors.networks.onnx_runtime import build_file
from zeroconv.preprocessors.pose import landmarks, people
from zeroconv.preprocessors.pose.landmarks import crop, crop_places
from zeroconv.preprocessors.pose.people import SIDE, decode_boxes, find_people, letterbox


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number, value):
    """One field of a protocol buffer message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def tensor_type(name, *sizes):
    shape = b"".join(field(1, field(1, size)) for size in sizes)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))


def relu_file(path):
    """An ONNX file of one ReLU, written by the format's own field numbers (onnx.proto)."""
    node = field(1, "x") + field(2, "y") + field(4, "Relu")
    sizes = (1, 3, 4, 5)
    graph = field(1, node) + field(2, "g") + field(11, tensor_type("x", *sizes)) + field(12, tensor_type("y", *sizes))
    path.write_bytes(field(1, 8) + field(7, graph) + field(8, field(2, 13)))
    return path


def test_an_onnx_file_runs_one_picture_at_a_time(tmp_path):
    network = build_file(relu_file(tmp_path / "relu.onnx"))
    images = torch.randn(3, 3, 4, 5)
    (got,) = network(images)
    assert network.runtime in ("onnxruntime", "OpenCV")
    torch.testing.assert_close(got, images.relu())


def answer_with(boxes):
    """YOLOX's answer that holds these boxes (left, top, right, bottom, objectness, person) of its 640 pixels."""
    rows = np.zeros((8400, 85), np.float32)
    for left, top, right, bottom, objectness, person in boxes:
        x, y, stride, start = (left + right) / 2, (top + bottom) / 2, 16, 80 * 80
        column, line = int(x // stride), int(y // stride)
        row = rows[start + line * 40 + column]
        row[:6] = (x / stride - column, y / stride - line, 0, 0, objectness, person)
        row[2:4] = np.log([(right - left) / stride, (bottom - top) / stride])
    return rows


def test_boxes_are_decoded_as_the_paper_says():
    answer = torch.from_numpy(answer_with([(100, 60, 300, 500, 0.9, 0.8)]))[None]
    boxes, scores = decode_boxes(answer, slice(0, 1))
    best = scores[0].argmax()
    assert boxes[0, best].tolist() == pytest.approx([100, 60, 300, 500], abs=1e-3)
    assert scores[0, best].item() == pytest.approx(0.72)
    assert boxes.shape[1] == 8400 == 80**2 + 40**2 + 20**2


class Detector(nn.Module):
    """In place of YOLOX: finds the same boxes in every picture, or those of its own in each of a batch."""

    def __init__(self, *boxes):
        super().__init__()
        self.boxes = boxes
        self.seen = []

    def forward(self, images):
        start = sum(map(len, self.seen))
        self.seen.append(images)
        boxes = [self.boxes[(start + index) % len(self.boxes)] for index in range(len(images))]
        return (torch.from_numpy(np.stack([answer_with(one) for one in boxes])),)


def test_people_overlapping_a_stronger_one_and_weak_ones_are_dropped():
    boxes = [
        (0, 0, 200, 400, 0.9, 0.9),
        (20, 10, 220, 400, 0.8, 0.9),
        (400, 0, 600, 400, 1, 0.5),
        (400, 450, 500, 500, 1, 0.2),
    ]
    (found,) = find_people(torch.zeros(1, 320, 320, 3), Detector(boxes), 0.3, False)
    assert found == pytest.approx(np.array([(0, 0, 100, 200), (200, 0, 300, 200)]), abs=1e-3)


def test_a_row_that_is_no_number_is_nobody():
    answer = answer_with([(0, 0, 200, 400, 0.9, 0.9), (400, 0, 600, 400, 1, 0.8)])
    answer[answer[:, 4] == 1, 2] = np.inf
    network = Detector([])
    network.forward = lambda images: (torch.from_numpy(answer)[None],)
    (found,) = find_people(torch.zeros(1, 640, 640, 3), network, 0.3, False)
    assert found == pytest.approx(np.array([(0, 0, 200, 400)]), abs=1e-3)


def test_the_detector_sees_blue_first_and_grey_around():
    picture = torch.zeros(1, 100, 200, 3)
    picture[..., 0] = 1
    detector = Detector([])
    assert [len(boxes) for boxes in find_people(picture, detector, 0.3, False)] == [0]
    (seen,) = detector.seen
    assert seen.shape == (1, 3, 640, 640)
    assert seen[0, :, 10, 10].tolist() == [0, 0, 255]
    assert seen[0, :, 330, 10].tolist() == [114, 114, 114]
    find_people(picture, detector, 0.3, True)
    assert detector.seen[1][0, :, 10, 10].tolist() == [255, 0, 0]


@pytest.mark.parametrize("size", [(321, 487), (1200, 733), (640, 640), (50, 2000)])
def test_the_letterbox_is_opencvs_linear_resize(size):
    images = torch.rand(2, *size, 3, generator=torch.Generator().manual_seed(0))
    boxed, ratio = letterbox(images)
    height, width = int(size[0] * ratio), int(size[1] * ratio)
    for image, got in zip(images, boxed, strict=True):
        expected = np.full((SIDE, SIDE, 3), 114, np.float32)
        expected[:height, :width] = cv2.resize(image.numpy(), (width, height), interpolation=cv2.INTER_LINEAR) * 255
        assert np.abs(got.permute(1, 2, 0).numpy() - expected).max() < 0.02


def test_crops_are_opencvs_affine_warp_of_the_box_and_a_quarter():
    """OpenCV rounds places to 1/32 of a pixel: a smooth picture shows no more than that."""
    rows, columns = np.mgrid[:240, :320].astype(np.float32)
    pictures = [0.5 + 0.5 * np.sin(rows / 17 + shift) * np.cos(columns / 23) for shift in (0, 2)]
    images = torch.from_numpy(np.stack(pictures))[..., None].repeat(1, 1, 1, 3)
    boxes = np.array([[100, 50, 180, 200], [-20, 10, 90, 60], [200, 100, 330, 250]])
    owners = np.array([0, 1, 1])
    corners, scales = crop_places(boxes, (384, 288))
    crops = crop(images, owners, corners, scales, (384, 288))
    for box, owner, got in zip(boxes, owners, crops, strict=True):
        width, height = 1.25 * (box[2] - box[0]), 1.25 * (box[3] - box[1])
        scale = max(width / 288, height / 384)
        left, top = (box[0] + box[2]) / 2 - scale * 144, (box[1] + box[3]) / 2 - scale * 192
        matrix = np.array([[scale, 0, left], [0, scale, top]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        expected = cv2.warpAffine(images[owner].numpy(), matrix, (288, 384), flags=flags)
        # Beyond the edge the picture ends at once, so that a 32nd of a pixel there is a 32nd of its brightness.
        assert np.abs(got.permute(1, 2, 0).numpy() - expected).max() < 1 / 30
        assert np.abs(got.permute(1, 2, 0).numpy() - expected).mean() < 1e-3


class Brightest(nn.Module):
    """In place of the pose network: every point is where the crop is brightest, in half pixels; some are unsure."""

    def __init__(self, unsure=()):
        super().__init__()
        self.unsure = list(unsure)
        self.counts = []

    def forward(self, images):
        assert images.shape[1:] == (3, 384, 288)
        self.counts.append(len(images))
        across, down = torch.zeros(len(images), 133, 576), torch.zeros(len(images), 133, 768)
        for index, image in enumerate(images):
            row, column = divmod(int(image.sum(0).argmax()), 288)
            across[index, :, 2 * column], down[index, :, 2 * row] = 0.8, 0.9
        across[:, self.unsure] *= 0.1
        return across, down


def spot_at(x, y, height=240, width=320):
    rows, columns = np.mgrid[:height, :width]
    light = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 50).astype(np.float32)
    return torch.from_numpy(np.repeat(light[..., None], 3, axis=2))


def test_points_land_where_the_pose_network_saw_them():
    images = torch.stack([spot_at(170, 90), spot_at(120, 150)])
    networks = {"dwpose_det": Detector([(160, 40, 400, 440, 1, 0.9)]), "dwpose_pose": Brightest()}
    frames = detect_dwpose(images, DWPOSE.settings(), networks.__getitem__)
    for frame, (x, y) in zip(frames, [(170, 90), (120, 150)], strict=True):
        (pose,) = frame.poses
        assert (len(pose.body), len(pose.left_hand), len(pose.right_hand), len(pose.face)) == (18, 21, 21, 70)
        for point in (*pose.body, *pose.left_hand, *pose.right_hand, *pose.face):
            assert (point.x * 320, point.y * 240) == pytest.approx((x, y), abs=1)
            assert point.score == pytest.approx(0.8)


def test_points_keep_their_meaning_and_unsure_ones_are_missing():
    """Unsure: COCO's right wrist (10) and left ear (3), a shoulder (5, so no neck), the whole left hand."""
    networks = {
        "dwpose_det": Detector([(160, 40, 400, 440, 1, 0.9)]),
        "dwpose_pose": Brightest([10, 3, 5, *range(91, 112)]),
    }
    frames = detect_dwpose(spot_at(170, 90)[None], DWPOSE.settings(), networks.__getitem__)
    (pose,) = frames[0].poses
    assert [i for i, point in enumerate(pose.body) if point is None] == [1, 4, 5, 17]
    assert pose.left_hand == ()
    assert len(pose.right_hand) == 21
    assert len(pose.feet) == 6


def test_nobody_is_a_black_picture():
    networks = {"dwpose_det": Detector([])}
    hint = DWPOSE.run(Inputs(torch.rand(2, 50, 60, 3), DWPOSE.settings(), networks.__getitem__)).image
    assert hint.shape == (2, 50, 60, 3)
    assert hint.amax() == 0


def test_all_boxes_of_all_pictures_pass_the_pose_network_together(monkeypatch):
    """Each keeps its picture: as many people as boxes, at the brightest place of their own picture."""
    places = [(170, 90), (120, 150), (200, 60), (80, 80), (250, 200)]
    images = torch.stack([spot_at(x, y) for x, y in places])
    whole = (20, 20, 620, 460, 1, 0.9)
    counts = [1, 0, 2, 1, 1]
    apart = (0, 470, 20, 478, 1, 0.5)
    boxes = [[], [whole], [whole, apart]]
    detector, pose = Detector(*(boxes[count] for count in counts)), Brightest()
    networks = {"dwpose_det": detector, "dwpose_pose": pose}
    frames = detect_dwpose(images, DWPOSE.settings(), networks.__getitem__)
    assert [len(frame.poses) for frame in frames] == counts
    assert (pose.counts, list(map(len, detector.seen))) == ([5], [5])
    for frame, (x, y) in zip(frames, places, strict=True):
        for found in frame.poses[:1]:
            assert (found.body[0].x * 320, found.body[0].y * 240) == pytest.approx((x, y), abs=1)
    monkeypatch.setattr(people, "CHUNK", 2)
    monkeypatch.setattr(landmarks, "CHUNK", 2)
    again = Detector(*(boxes[count] for count in counts))
    networks = {"dwpose_det": again, "dwpose_pose": pose}
    assert detect_dwpose(images, DWPOSE.settings(), networks.__getitem__) == frames
    assert (pose.counts[1:], list(map(len, again.seen))) == ([2, 2, 1], [2, 2, 1])


def test_without_a_detector_the_whole_picture_is_one_person():
    networks = {"dwpose_pose": Brightest()}
    settings = DWPOSE.settings({"detector": "none"})
    (frame,) = detect_dwpose(spot_at(170, 90)[None], settings, networks.__getitem__)
    (pose,) = frame.poses
    assert (pose.body[0].x * 320, pose.body[0].y * 240) == pytest.approx((170, 90), abs=1)
