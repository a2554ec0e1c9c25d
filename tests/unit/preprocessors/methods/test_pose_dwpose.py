"""DWPose: reading of both networks' answers, and where the points land in the picture."""

import numpy as np
import pytest
import torch
from zeroconv.preprocessors.description import Inputs
from zeroconv.preprocessors.methods.pose_dwpose import DWPOSE, decode_people, detect_dwpose, find_people
from zeroconv.preprocessors.networks.dwpose import build_file


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
    boxes, scores = decode_people(answer_with([(100, 60, 300, 500, 0.9, 0.8)]))
    best = scores.argmax()
    assert boxes[best] == pytest.approx([100, 60, 300, 500], abs=1e-3)
    assert scores[best] == pytest.approx(0.72)
    assert len(boxes) == 8400 == 80**2 + 40**2 + 20**2


class Detector:
    def __init__(self, boxes):
        self.boxes = boxes

    def __call__(self, images):
        self.seen = images
        return (torch.from_numpy(answer_with(self.boxes))[None],)


def test_people_overlapping_a_stronger_one_and_weak_ones_are_dropped():
    boxes = [
        (0, 0, 200, 400, 0.9, 0.9),
        (20, 10, 220, 400, 0.8, 0.9),
        (400, 0, 600, 400, 1, 0.5),
        (400, 450, 500, 500, 1, 0.2),
    ]
    found = find_people(np.zeros((320, 320, 3), np.float32), Detector(boxes), 0.3, False)
    assert found == pytest.approx(np.array([(0, 0, 100, 200), (200, 0, 300, 200)]), abs=1e-3)


def test_the_detector_sees_blue_first_and_grey_around():
    picture = np.zeros((100, 200, 3), np.float32)
    picture[..., 0] = 1
    detector = Detector([])
    assert len(find_people(picture, detector, 0.3, False)) == 0
    assert detector.seen.shape == (1, 3, 640, 640)
    assert detector.seen[0, :, 10, 10].tolist() == [0, 0, 255]
    assert detector.seen[0, :, 330, 10].tolist() == [114, 114, 114]
    find_people(picture, detector, 0.3, True)
    assert detector.seen[0, :, 10, 10].tolist() == [255, 0, 0]


class Brightest:
    """In place of the pose network: every point is where the crop is brightest, in half pixels; some are unsure."""

    def __init__(self, unsure=()):
        self.unsure = list(unsure)

    def __call__(self, images):
        assert images.shape == (1, 3, 384, 288)
        row, column = divmod(int(images[0].sum(0).argmax()), 288)
        across, down = torch.zeros(1, 133, 576), torch.zeros(1, 133, 768)
        across[:, :, 2 * column], down[:, :, 2 * row] = 0.8, 0.9
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


def test_nobody_is_a_black_picture():
    networks = {"dwpose_det": Detector([])}
    hint = DWPOSE.run(Inputs(torch.rand(2, 50, 60, 3), DWPOSE.settings(), networks.__getitem__)).image
    assert hint.shape == (2, 50, 60, 3)
    assert hint.amax() == 0
