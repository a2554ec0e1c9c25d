"""Weights of ONNX files under the names of our networks, and the same answers as a runtime of such files."""

import random
import sys

import numpy as np
import pytest
import torch
from support.onnx_files import export_onnx
from torch import nn
from zeroconv.preprocessors.networks.onnx_runtime import build_file
from zeroconv.preprocessors.networks.onnx_weights import name_weights, weights_in_order
from zeroconv.preprocessors.networks.rtmpose import Plan, RTMPose
from zeroconv.preprocessors.networks.yolox import YOLOX
from zeroconv.preprocessors.pose.landmarks import decode_points
from zeroconv.preprocessors.pose.people import decode_boxes
from zeroconv.storage.onnx_file import Graph, Node, read_onnx

SMALL = Plan(8, (1, 2, 1, 1), points=20, kernel=7, hidden=32, key=16, height=128, width=96)


def small_pose() -> nn.Module:
    return RTMPose(SMALL)


def small_detector() -> nn.Module:
    return YOLOX(8, 1, 80)


NETWORKS = {"yolox": (small_detector, (640, 640)), "rtmpose": (small_pose, (128, 96))}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def with_weights(network: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for name, parameter in network.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        spread = 1.5 * max(1, parameter[0].numel()) ** -0.5 if parameter.dim() > 1 else 0.2
        parameter.data = noise if name.endswith(("gamma", ".g", "scale")) else spread * noise
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_weight_gets_its_name_back(tmp_path, name, opset):
    create, size = NETWORKS[name]
    network = with_weights(create())
    path = export_onnx(network, torch.rand(1, 3, *size), tmp_path / "a.onnx", opset)
    got = name_weights(read_onnx(path), create)
    expected = dict(network.named_parameters())
    assert got.keys() == expected.keys()
    assert all(torch.equal(got[key], expected[key]) for key in expected)


def test_the_order_of_the_operations_in_the_file_plays_no_part(tmp_path):
    """Layers side by side, of equal shapes, are told apart by what their answers become."""
    network = with_weights(small_pose())
    graph = read_onnx(export_onnx(network, torch.rand(1, 3, 128, 96), tmp_path / "a.onnx"))
    nodes = list(graph.nodes)
    random.Random(0).shuffle(nodes)
    got = name_weights(Graph(tuple(nodes), graph.tensors, graph.outputs), small_pose)
    assert all(torch.equal(got[key], value) for key, value in network.named_parameters())


def test_the_runtime_gives_the_same_boxes_and_points(tmp_path):
    image = torch.rand(1, 3, 640, 640, generator=torch.Generator().manual_seed(1))
    detector = with_weights(small_detector())
    theirs = build_file(export_onnx(detector, image, tmp_path / "a.onnx"))
    with torch.inference_mode():
        (ours,), (reference,) = detector(image), theirs(image)
    for got, expected in zip(decode_boxes(ours, slice(0, 1)), decode_boxes(reference, slice(0, 1)), strict=True):
        torch.testing.assert_close(got, expected, atol=1e-3, rtol=1e-4)
    crop = torch.randn(1, 3, 128, 96, generator=torch.Generator().manual_seed(1))
    pose = with_weights(small_pose())
    theirs = build_file(export_onnx(pose, crop, tmp_path / "b.onnx"))
    with torch.inference_mode():
        got, expected = decode_points(*pose(crop)), decode_points(*theirs(crop))
    torch.testing.assert_close(got[..., :2], expected[..., :2], atol=1e-4, rtol=0)
    torch.testing.assert_close(got[..., 2], expected[..., 2], atol=1e-4, rtol=1e-4)


def test_a_file_of_another_network_is_refused(tmp_path):
    path = export_onnx(small_pose().eval(), torch.rand(1, 3, 128, 96), tmp_path / "a.onnx")
    with pytest.raises(ValueError, match=r"does not fit YOLOX: \d+ weights, not \d+"):
        name_weights(read_onnx(path), small_detector)
    with pytest.raises(ValueError, match=r"does not fit RTMPose: backbone\.stem\.0\.conv\.weight is \(4, 3, 3, 3\)"):
        name_weights(read_onnx(path), lambda: RTMPose(Plan(16, *list(vars(SMALL).values())[1:])))


def test_matrices_are_turned_as_linear_layers_have_them():
    """In the three ways that exporters write one."""
    matrix = torch.rand(2, 3)
    nodes = (
        Node("MatMul", ("x", "turned"), ("a",), {}),
        Node("Gemm", ("a", "plain", "bias"), ("b",), {"transB": 1}),
        Node("Transpose", ("plain",), ("later",), {}),
        Node("MatMul", ("b", "later"), ("c",), {}),
    )
    tensors = {"turned": matrix.T, "plain": matrix, "bias": torch.ones(2)}
    weights = list(weights_in_order(Graph(nodes, tensors, ("c",))))
    assert [tuple(weight.shape) for weight in weights] == [(2, 3), (2, 3), (2,), (2, 3)]
    assert all(torch.equal(weight, matrix) for weight in weights if weight.dim() == 2)


def test_opencv_is_the_runtime_where_there_is_no_other(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    network = build_file(export_onnx(with_weights(small_pose()), torch.rand(1, 3, 128, 96), tmp_path / "a.onnx"))
    assert network.runtime == "OpenCV"
    assert np.isfinite(network(torch.rand(2, 3, 128, 96))[0].numpy()).all()
