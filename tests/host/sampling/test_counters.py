"""What every workload of the benchmark costs in numbers that no busy neighbour changes: they may only fall.

Recorded in benchmarks/counters.json; UPDATE_COUNTERS=1 records anew. And the counting itself, beside PyTorch's own.
"""

import json
import os

import pytest
import torch
from support.comfy_host import import_host
from torch.utils.flop_counter import FlopCounterMode
from zeroconv.comfy_client.server import REPOSITORY

import_host()

from zeroconv.benchmarks.measuring import machine
from zeroconv.benchmarks.measuring.counting import Alive, Tally
from zeroconv.benchmarks.measuring.workload import Settings, measure
from zeroconv.benchmarks.models.random_models import Models
from zeroconv.benchmarks.sides.in_comfyui import CORE, OURS
from zeroconv.benchmarks.workloads import WORKLOADS, Scale

RECORD = REPOSITORY / "benchmarks" / "counters.json"
UPDATE = "UPDATE_COUNTERS" in os.environ
NAMES = ("W1", "W2", "W4", "W5", "W6", "W7", "W8", "W10")
TINY, STEPS = Scale(width=64, latent=8, rank=4), 3
VERSIONS = ("torch", "ComfyUI")


@pytest.fixture(scope="module")
def models():
    return Models("SD1.5", TINY.width)


def recorded():
    return json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {"workloads": {}}


def count(name, models, side):
    workload = WORKLOADS[name].scaled(TINY, STEPS)
    result = measure(workload, models, Settings((side,), rounds=0))[side.name]
    return {part: result[part] for part in ("step", "total")}


def record(name, counts):
    known = recorded() | {version: machine.describe()[version] for version in VERSIONS}
    known["workloads"] = {**known["workloads"], name: counts}
    RECORD.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_no_count_rises(models, name):
    if UPDATE:
        record(name, {side.name: count(name, models, side) for side in (CORE, OURS)})
    known = recorded()
    if any(machine.describe()[version] != known[version] for version in VERSIONS):
        pytest.skip("The counts were recorded with other versions of ComfyUI and PyTorch.")
    counts, before = count(name, models, OURS), known["workloads"][name]["ours"]
    changed = {
        f"{what} ({part})": (before[part].get(what, 0), counts[part].get(what, 0))
        for part in before
        for what in before[part].keys() | counts[part].keys()
        if before[part].get(what, 0) != counts[part].get(what, 0)
    }
    risen = {what: change for what, change in changed.items() if change[1] > change[0]}
    assert not risen, f"{name} costs more than before (recorded, now): {risen}"
    assert not changed, f"{name} costs less, well done. UPDATE_COUNTERS=1 records it (recorded, now): {changed}"


@pytest.mark.parametrize("name", NAMES)
def test_nothing_costs_more_than_in_core(name):
    counts = recorded()["workloads"][name]
    for what, own in counts["ours"]["total"].items():
        assert own <= counts["core"]["total"][what], what


def test_counts_are_what_a_person_would_count():
    networks = [torch.nn.Linear(4, 4)]
    tally = Tally(lambda: networks)
    with torch.inference_mode(), tally.stepping("any", range(1)):
        x = torch.ones(3, 4)
        y = networks[0](x).relu()
        assert y.view(-1).sum().item() >= 0
        if y[0, 0] > 1:
            y.add_(1)
    assert tally.total["forwards"] == 1
    assert tally.total["reads"] == 2
    assert tally.total["FLOPs"] == 2 * 3 * 4 * 4
    # ones, matrix product with bias, relu, sum, comparison; and the addition if it is made
    assert tally.total["operations"] == 5 + bool(y[0, 0] > 1)


def test_flops_are_those_of_torchs_counter():
    """With an attention made of matrix products, since its table lacks the fused one of CPUs."""
    from comfy.ldm.modules.attention import attention_sub_quad

    layer = torch.nn.Conv2d(4, 8, 3, stride=2)

    def work():
        q = layer(torch.ones(2, 4, 17, 17)).flatten(2).transpose(1, 2)
        return attention_sub_quad(q, q, q, 2)

    tally = Tally(list)
    with torch.inference_mode(), tally.stepping("any", range(1)):
        work()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        work()
    assert tally.total["FLOPs"] == counter.get_total_flops() > 0


def test_memory_is_counted_while_tensors_live():
    alive = Alive()
    first = torch.zeros(1000)
    alive.note([first, first.view(10, 100)])
    assert alive.peak == 4000
    del first
    alive.note([torch.zeros(500)])
    assert alive.peak == 4000
    kept = torch.zeros(1001)
    alive.note([kept])
    assert alive.peak == kept.nbytes
