"""Every preprocessor that has a network, on a GPU: a whole batch at once, nothing heavy on the CPU, the CPU's hints.

At the official widths only shapes are computed: that shows devices and dtypes. The small networks compute.
"""

import copy
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from safetensors.torch import save_file
from support.gpu import GIB, Ledger, pretended_gpu
from torch import nn
from zeroconv.benchmarks.models.official_weights import golden_state_dict
from zeroconv.benchmarks.peak_memory import STATE_DICTS, network_of
from zeroconv.host.preprocessing import networks as host_networks
from zeroconv.host.preprocessing.networks import HostNetworks
from zeroconv.host.preprocessing.run import LARGEST_CHUNK, run_preprocessor
from zeroconv.preprocessors.catalogue import preprocessors
from zeroconv.preprocessors.networks import vitpose
from zeroconv.preprocessors.networks.hed import HED
from zeroconv.preprocessors.networks.rtmpose import Plan, RTMPose
from zeroconv.preprocessors.networks.teed import TEED
from zeroconv.preprocessors.networks.vitpose import ViTPose
from zeroconv.preprocessors.networks.yolox import YOLOX
from zeroconv.preprocessors.running import Options
from zeroconv.preprocessors.weights.catalogue import weights_of


def runs_in_torch(row: str) -> bool:
    """TFLite runs itself, on the CPU."""
    return not weights_of(row).file.endswith((".tflite", ".task"))


NEED_VALUES = ("openpose", "dwpose", "vitpose", "animal_pose", "oneformer_ade20k", "oneformer_coco")
"""OpenPose, DWPose and their like find people everywhere in answers full of ones; OneFormer checks its sums."""
METHODS = {
    name: method
    for name, method in preprocessors().items()
    if method.weights and all(runs_in_torch(row) for row in method.weights) and name not in NEED_VALUES
}


def build_shapes(row: str, folders: object, ops: object = nn) -> nn.Module:
    """The network of a row with weights of no values."""
    return network_of(row, golden_state_dict(STATE_DICTS.get(row, row)), ops)


@pytest.fixture
def shapes(monkeypatch):
    monkeypatch.setattr(host_networks, "build_network", build_shapes)
    monkeypatch.setattr("zeroconv.host.preprocessing.run.NETWORKS", HostNetworks())


def run_shapes(name: str, count: int) -> Ledger:
    with pretended_gpu(half=True, with_arithmetic=False) as gpu:
        hint = run_preprocessor(METHODS[name], torch.rand(count, 64, 96, 3), {}, Options())
        assert hint.image.shape[0] == count
        assert hint.image.device.type == "cpu"
        return gpu


@pytest.mark.parametrize("name", METHODS)
def test_a_batch_goes_through_the_network_at_once_and_on_the_gpu(shapes, name):
    one, three = run_shapes(name, 1), run_shapes(name, 3)
    assert not three.on_cpu, "nothing heavy is left to the CPU"
    assert one.launches > 0
    assert three.launches <= 1.2 * one.launches


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with HED and TEED of random weights, the only one that the host looks into."""
    torch.manual_seed(0)
    for network, name in ((HED(), "ControlNetHED"), (TEED(), "7_model")):
        weights = {
            key: torch.randn_like(value.float()) * (max(1, value[0].numel()) ** -0.5 if value.dim() > 1 else 0.05)
            for key, value in network.state_dict().items()
        }
        save_file(weights, tmp_path / f"{name}.safetensors")
    monkeypatch.setattr(host_networks, "weight_folders", lambda: [tmp_path])
    monkeypatch.setattr("zeroconv.host.preprocessing.run.NETWORKS", HostNetworks())


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("name", ["hed", "teed"])
def test_the_hints_are_those_of_the_cpu(folder, monkeypatch, name, count):
    images = torch.rand(count, 40, 56, 3, generator=torch.Generator().manual_seed(1))
    expected = run_preprocessor(METHODS[name], images, {}, Options()).image
    monkeypatch.setattr("zeroconv.host.preprocessing.run.NETWORKS", HostNetworks())
    with pretended_gpu():
        hints = run_preprocessor(METHODS[name], images, {}, Options()).image
    torch.testing.assert_close(hints, expected, atol=1e-5, rtol=0)


def test_a_video_is_never_on_the_gpu_with_more_than_a_chunk_and_shows_its_progress(folder, monkeypatch):
    frames, done = 100, []
    monkeypatch.setattr("zeroconv.host.preprocessing.run.HostProgress", lambda: lambda *counts: done.append(counts))
    peaks = []
    with pretended_gpu(memory=2 * GIB) as gpu:
        for count in (16, frames):
            gpu.clear()
            run_preprocessor(METHODS["teed"], torch.rand(count, 32, 32, 3), {}, Options())
            peaks.append(gpu.peak)
    assert peaks[1] <= peaks[0], "the rest of the video is on the CPU"
    assert done[-1] == (frames, frames)
    counts = [count for count, total in done if total == frames]
    assert counts == sorted(counts)
    assert max(after - before for before, after in pairwise(counts)) == LARGEST_CHUNK, "told after every chunk"


def test_a_video_loads_its_network_once(folder):
    with pretended_gpu() as gpu:
        for _ in range(2):
            gpu.clear()
            run_preprocessor(METHODS["teed"], torch.rand(20, 32, 32, 3), {}, Options())
        weights = [event for event in gpu.copies if event.within("comfy/model_patcher")]
        assert not weights


SMALL_BODY = Plan(8, (1, 1, 1, 1), points=133, kernel=7, hidden=32, key=16, height=384, width=288)
SMALL_ANIMAL = replace(SMALL_BODY, points=17, height=256, width=256)
DWPOSE = preprocessors()["dwpose"]


@pytest.fixture
def people(monkeypatch):
    """DWPose, ViTPose and animal pose of small networks that see somebody in every picture."""
    networks = {
        "dwpose_det": YOLOX(8, 1, 80),
        "dwpose_pose": RTMPose(SMALL_BODY),
        "rtmpose_animal": RTMPose(SMALL_ANIMAL),
        "vitpose_b_wholebody": ViTPose(vitpose.Plan(384, 1, 133, (8, 8))),
    }
    generator = torch.Generator().manual_seed(0)
    for network in networks.values():
        for name, parameter in network.eval().requires_grad_(False).named_parameters():
            spread = 1.6 * max(1, parameter[0].numel()) ** -0.5 if parameter.dim() > 1 else 0.3
            spread *= 0.01 if "reg_preds" in name else 1  # boxes of the size of a cell, not of a city
            parameter.data = spread * torch.randn(parameter.shape, generator=generator)
    monkeypatch.setattr(host_networks, "build_network", lambda row, folders, ops: copy.deepcopy(networks[row]))
    monkeypatch.setattr("zeroconv.host.preprocessing.run.NETWORKS", HostNetworks())


def film(count: int) -> torch.Tensor:
    return torch.rand(count, 96, 128, 3, generator=torch.Generator().manual_seed(1))


def test_people_of_a_batch_are_found_on_the_gpu_and_are_those_of_the_cpu(people, monkeypatch):
    settings = {"minimum_score": 0.05}
    expected = run_preprocessor(DWPOSE, film(3), settings, Options())
    assert expected.poses is not None
    assert all(0 < len(frame.poses) < 200 for frame in expected.poses)
    monkeypatch.setattr("zeroconv.host.preprocessing.run.NETWORKS", HostNetworks())
    with pretended_gpu() as gpu:
        hint = run_preprocessor(DWPOSE, film(3), settings, Options())
    assert not gpu.on_cpu
    assert hint.poses is not None
    close = []
    for frame, other in zip(hint.poses, expected.poses, strict=True):
        for pose, wanted in zip(frame.poses, other.poses, strict=True):
            pairs = zip(pose.body, wanted.body, strict=True)
            close += [point == pytest.approx(again, abs=1e-3) for point, again in pairs if point and again]
    assert sum(close) > 0.98 * len(close) > 10, "where two bins are equal but for rounding, either may win"


@pytest.mark.parametrize("name", ["dwpose", "vitpose", "animal_pose"])
def test_all_pictures_of_a_batch_pass_both_networks_together(people, name):
    method, settings = preprocessors()[name], {"minimum_score": 0.05, "detector": "none"}
    counts = []
    with pretended_gpu() as gpu:
        for count in (1, 6):
            run_preprocessor(method, film(count), settings, Options())
            gpu.clear()
            run_preprocessor(method, film(count), settings, Options())
            assert not gpu.on_cpu
            counts.append((gpu.launches, len(gpu.reads)))
    (launches, reads), (launches_of_six, reads_of_six) = counts
    assert reads == reads_of_six
    assert launches_of_six <= launches + 1, "what lies in order for one picture is copied once for six"


def test_a_video_of_people_needs_no_more_memory_than_a_chunk(people):
    peaks = []
    with pretended_gpu(memory=2 * GIB) as gpu:
        for count in (16, 48):
            gpu.clear()
            run_preprocessor(DWPOSE, film(count), {"detector": "none"}, Options())
            peaks.append(gpu.peak)
    assert peaks[1] <= 1.01 * peaks[0]
