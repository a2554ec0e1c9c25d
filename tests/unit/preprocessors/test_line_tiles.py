"""Large pictures in tiles: the same lines as in one piece, in bounded memory."""

from collections.abc import Callable
from itertools import accumulate

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from zeroconv.benchmarks.models.official_weights import random_state_dict
from zeroconv.preprocessors import line_maps
from zeroconv.preprocessors.networks import lineart
from zeroconv.preprocessors.networks.hed import HED
from zeroconv.preprocessors.networks.manga_line import MangaLines
from zeroconv.preprocessors.networks.pidinet import PiDiNet
from zeroconv.preprocessors.networks.teed import TEED

torch.set_num_threads(1)
Tiled = type[HED] | type[PiDiNet] | type[TEED] | type[MangaLines]
NETWORKS = pytest.mark.parametrize("kind", [HED, PiDiNet, TEED, MangaLines])


def network_of(kind: type[torch.nn.Module]) -> torch.nn.Module:
    """Random weights that keep a signal alive, in double precision: what differs is more than rounding."""
    torch.manual_seed(0)
    network = kind().eval().requires_grad_(False).double()
    for parameter in network.parameters():
        inputs = max(1, parameter[0].numel())
        parameter.copy_(torch.randn_like(parameter) * ((2 / inputs) ** 0.5 if parameter.dim() == 4 else 0.0))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.fill_(1)
    return network


@pytest.mark.parametrize("wide", [False, True])
@NETWORKS
def test_tiles_equal_the_whole(kind: Tiled, wide: bool, monkeypatch) -> None:
    network = network_of(kind)
    tile = 64 if kind.reach < 256 else 256
    size = 16, kind.reach + 2 * tile  # neither the first nor the last tile sees all of it
    images = torch.rand(1, *(size if wide else size[::-1]), 3, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        whole = line_maps.line_map(network, images)
        monkeypatch.setattr(line_maps, "TILE", tile)
        monkeypatch.setattr(kind, "whole_tiles", 0)
        tiled = line_maps.line_map(network, images)
    assert whole.std() > 1e-3
    torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-6)


@NETWORKS
def test_the_reach_is_what_the_network_sees(kind: Tiled) -> None:
    """Nothing beyond the reach changes a pixel; the reach is a multiple of the network's strides."""
    network = network_of(kind)
    height, place = 2 * kind.reach + 80, kind.reach + 40
    images = (torch.rand(1, 3, height, 32, dtype=torch.float64) * 0.01).requires_grad_()
    for parameter in network.parameters():  # positive, so that no path is closed, and small for the last sigmoid
        parameter.copy_(torch.rand_like(parameter) / max(1, parameter[0].numel() if parameter.dim() > 1 else 10))
    (slope,) = torch.autograd.grad(network(images)[0, 0, place, 16], images)
    rows = (slope.abs().sum((0, 1, 3)) > 0).nonzero()
    farthest = max(place - int(rows.min()), int(rows.max()) - place)
    assert 0 <= kind.reach - farthest <= 16
    assert kind.reach % 8 == 0


@pytest.mark.parametrize("size", [(132, 24), (64, 36), (36, 16)])
def test_line_art_in_strips_equals_the_whole(size, monkeypatch) -> None:
    """Its norms take the statistics of the whole picture, in strips too."""
    network = lineart.build(random_state_dict("lineart")).double()
    network.model2 = torch.nn.Sequential()  # the same in both
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    images[:, :, : size[0] // 3] *= 0.1  # so that strips have other statistics than the picture
    with torch.inference_mode():
        whole = network(images)
        monkeypatch.setattr(lineart, "LARGEST_PIECE", 0)
        monkeypatch.setattr(lineart, "ROWS", 32)
        strips = network(images)
    assert whole.std() > 1e-2
    torch.testing.assert_close(strips, whole, rtol=0, atol=1e-6)  # it answers in single precision


def peak_bytes(run: Callable[[], object]) -> int:
    """Bytes of the tensors that were made and alive at once."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    recorded = profiler.profiler.kineto_results.events()
    changes = sorted((event.start_ns(), event.nbytes()) for event in recorded if event.name() == "[memory]")
    return max(accumulate(size for _, size in changes))


@pytest.mark.parametrize(("kind", "size"), [(TEED, (1280, 1280)), (lineart.LineDrawing, (1280, 320))])
def test_large_pictures_need_a_fraction_of_the_memory(kind, size, monkeypatch) -> None:
    network = kind().eval().requires_grad_(False)
    if kind is lineart.LineDrawing:
        network.model2 = torch.nn.Sequential()  # they take most of the time, and work on small maps
    images = torch.rand(1, *size, 3)

    def in_tiles_of(side: int) -> int:
        monkeypatch.setattr(line_maps, "TILE", side)
        monkeypatch.setattr(lineart, "LARGEST_PIECE", side**2)
        monkeypatch.setattr(lineart, "ROWS", side // 4)
        with torch.inference_mode():
            return peak_bytes(lambda: line_maps.line_map(network, images))

    pieces, whole = in_tiles_of(256), in_tiles_of(4096)
    assert whole > images.nbytes
    assert pieces < whole / 4
