"""The pretended GPU computes as the CPU does, refuses what CUDA refuses, and counts what a real one feels."""

import pytest
import torch
from support.gpu import GPU, pretended_gpu
from torch import nn
from torch.nn import functional


@pytest.fixture
def gpu():
    with pretended_gpu() as ledger:
        yield ledger


def on_gpu(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(GPU)


def test_tensors_say_where_they_are_and_compute_what_the_cpu_does(gpu):
    a, b = on_gpu(3, 4), on_gpu(4, 5, seed=1)
    product = (a @ b).relu().view(-1)
    assert (product.device, product.is_cuda, product.shape) == (GPU, True, (15,))
    assert torch.equal(product.cpu(), (a.cpu() @ b.cpu()).relu().view(-1))


@pytest.mark.parametrize("inference", [True, False])
def test_two_devices_do_not_meet(gpu, inference):
    a = on_gpu(3, 4)
    with torch.inference_mode(inference):
        for meet in (
            lambda: a + torch.ones(4),
            lambda: torch.cat([a, torch.ones(3, 4)]),
            lambda: functional.linear(a, torch.ones(5, 4)),
            lambda: torch.where(a > 0, a, torch.zeros(3, 4)),
            lambda: torch.stack([a.sum(), torch.ones(())]),
            lambda: torch.rand(3, generator=torch.Generator(), device=GPU),
        ):
            with pytest.raises(RuntimeError, match=r"two devices|generator"):
                meet()


def test_what_cuda_allows_is_allowed(gpu):
    a = on_gpu(3, 4)
    assert (a * torch.tensor(2.0)).is_cuda
    assert a[torch.tensor([0, 2])].is_cuda
    a.copy_(torch.ones(3, 4))
    a[0] = 2.0
    assert a.sum().item() == 16


def test_a_gpu_s_values_are_not_numpy_s(gpu):
    with pytest.raises(TypeError, match="can't convert cuda"):
        on_gpu(3).numpy()


@pytest.mark.parametrize(
    ("read", "count"),
    [
        (lambda a: a.sum().item(), 1),
        (lambda a: a.tolist(), 1),
        (lambda a: a.cpu(), 1),
        (lambda a: bool(a.any()), 1),
        (lambda a: a[a > 0], 1),
        (lambda a: a.nonzero(), 1),
        (lambda a: torch.zeros(3).copy_(a[:, 0]), 1),
        (lambda a: torch.equal(a, a), 1),
        (lambda a: a.masked_fill(a > 0, 1.0), 0),
        (lambda a: a.__setitem__(a > 0, 1.0), 0),
        (lambda a: a.sum() > 0, 0),
        (lambda a: a[1, 2:], 0),
    ],
)
def test_reads_are_counted_with_their_line(gpu, read, count):
    a = on_gpu(3, 4)
    gpu.clear()
    with torch.inference_mode():
        read(a)
    assert len(gpu.reads) == count
    assert all(event.line.startswith("tests/device/test_pretended_gpu.py") for event in gpu.reads)


@pytest.mark.parametrize(
    ("copy", "count"),
    [
        (lambda a: torch.ones(3).to(GPU), 1),
        (lambda a: torch.tensor([1, 2], device=GPU), 1),
        (lambda a: a.new_tensor([1.0, 2.0]), 1),
        (lambda a: a[[0, 2]], 1),
        (lambda a: a[torch.tensor([0, 2])], 1),
        (lambda a: a.copy_(torch.ones(3, 4)), 1),
        (lambda a: a[:2] + 1.5, 0),
        (lambda a: torch.zeros(3, device=GPU), 0),
        (lambda a: torch.arange(3, device=GPU), 0),
    ],
)
def test_copies_from_the_cpu_are_counted(gpu, copy, count):
    a = on_gpu(3, 4)
    gpu.clear()
    copy(a)
    assert len(gpu.copies) == count


def test_launches_are_operations_that_compute(gpu):
    layer, a = nn.Linear(4, 4).to(GPU), on_gpu(3, 4)
    gpu.clear()
    with torch.inference_mode():
        layer(a).relu().view(-1)[2:].add_(1)
    assert dict(gpu.operations) == {"addmm": 1, "relu": 1, "add_": 1}


def test_memory_is_counted_while_tensors_live(gpu):
    before = gpu.alive
    a = torch.zeros(1000, device=GPU)
    view = a.view(10, 100)[3]
    del a
    assert gpu.alive - before == 4000
    del view
    assert gpu.alive == before
    gpu.clear()
    torch.zeros(1000, device=GPU).add(1)
    assert gpu.peak - before == 8000


def test_gradients_are_those_of_the_cpu(gpu):
    def gradient(device):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(4, 8), nn.SiLU()).to(device)
        x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1)).to(device)
        q = network(x).flatten(2).transpose(1, 2)
        functional.scaled_dot_product_attention(q, q, q).square().mean().backward()
        return [parameter.grad.cpu() for parameter in network.parameters()]

    for own, theirs in zip(gradient(GPU), gradient("cpu"), strict=True):
        torch.testing.assert_close(own, theirs)


def test_a_module_keeps_its_parameters_when_it_moves(gpu):
    layer = nn.Linear(2, 2)
    weight = layer.weight
    layer.to(GPU)
    assert layer.weight is weight
    assert weight.is_cuda
    assert isinstance(weight, nn.Parameter)
    layer.to("cpu")
    assert layer.weight is weight
    assert type(weight) is nn.Parameter


def test_shapes_alone_are_counted_as_values_are():
    def step():
        network = nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 64)).to(GPU)
        optimizer = torch.optim.AdamW(network.parameters())
        for _ in range(2):
            network(torch.ones(16, 64, device=GPU)).square().mean().backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

    peaks = []
    for with_arithmetic in (True, False):
        with pretended_gpu(with_arithmetic=with_arithmetic) as ledger:
            step()
            peaks.append(ledger.peak)
    assert peaks[0] == peaks[1] > 4 * 4 * 64 * 256 * 2
