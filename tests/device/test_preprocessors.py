"""Every preprocessor that has a network, on a GPU: a whole batch at once, nothing heavy on the CPU, the CPU's hints.

At the official widths only shapes are computed: that shows devices and dtypes. The small networks compute.
"""

import importlib
from itertools import pairwise

import pytest
import torch
from safetensors.torch import save_file
from support.gpu import GIB, Ledger, pretended_gpu
from torch import nn
from zeroconv.benchmarks.models.official_weights import golden_state_dict
from zeroconv.benchmarks.peak_memory import STATE_DICTS
from zeroconv.host.preprocessing import networks as host_networks
from zeroconv.host.preprocessing.networks import HostNetworks
from zeroconv.host.preprocessing.run import LARGEST_CHUNK, run_preprocessor
from zeroconv.preprocessors.catalogue import preprocessors
from zeroconv.preprocessors.networks.hed import HED
from zeroconv.preprocessors.networks.teed import TEED
from zeroconv.preprocessors.running import Options
from zeroconv.preprocessors.weights.catalogue import weights_of


def runs_in_torch(row: str) -> bool:
    """ONNX and TFLite run themselves, on the CPU."""
    return not weights_of(row).file.endswith((".onnx", ".tflite", ".task"))


NEED_VALUES = ("openpose", "oneformer_ade20k", "oneformer_coco")
"""OpenPose finds people at every point of maps that are full of ones; OneFormer checks sums of what it reads."""
METHODS = {
    name: method
    for name, method in preprocessors().items()
    if method.weights and all(runs_in_torch(row) for row in method.weights) and name not in NEED_VALUES
}


def build_shapes(row: str, folders: object, ops: object = nn) -> nn.Module:
    """The network of a row with weights of no values."""
    module, _, builder = weights_of(row).network.partition(":")
    build = getattr(importlib.import_module(f"zeroconv.preprocessors.networks.{module}"), builder or "build")
    state_dict = golden_state_dict(STATE_DICTS.get(row, row))
    return build({"model": state_dict} if row == "zoe" else state_dict, ops)


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
