"""Every kind of control on a GPU: the latents of the CPU, alone, in chains, and with all that shapes them."""

import functools
import json
import os
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from support.comfy_host import TWO_LEVELS, import_host

import_host()

import comfy.controlnet
import comfy.model_management
from support.checkpoints import SD15
from support.formats import tensors
from support.hosted import Vae
from support.layouts import adapter, animatediff, control_lora, ctrlora_full, lllite, sparse_ctrl, union
from support.sampling import Run, core_network, hint, prompts, sdxl_prompts
from support.scenes import WIDTH, Outcome, Scene, base_model, caused_by_us, distance, on_cpu, on_gpu, weights
from zeroconv.comfy_client.server import REPOSITORY
from zeroconv.controlnet.caching.run_interval import Adaptive, EveryNthStep
from zeroconv.controlnet.caching.step_cache import StepCacheSettings
from zeroconv.controlnet.constants import Constants
from zeroconv.controlnet.formats import recognise
from zeroconv.controlnet.hint.fit import Fit
from zeroconv.controlnet.networks.controlnet import ControlNet
from zeroconv.controlnet.strength.block_weights import Listed
from zeroconv.controlnet.strength.control_mode import CfgWeights
from zeroconv.controlnet.strength.factors import StrengthFactors
from zeroconv.controlnet.strength.per_item import ItemStrengths
from zeroconv.controlnet.strength.schedule import Schedule
from zeroconv.host.conditioning import Unit, apply_unit
from zeroconv.host.controls import control_step
from zeroconv.host.controls.control import Control
from zeroconv.host.controls.controlnet import ControlNetRunner
from zeroconv.host.controls.union import add_union_hint, set_union_type
from zeroconv.host.loading.load import control_from_tensors, unet_weights
from zeroconv.host.sampling.step_cache import with_step_cache
from zeroconv.host.settings import with_fit, with_record, with_run_interval

WEIGHTS = {seed: weights(seed) for seed in (1, 2)}
"""ControlNets, which all tests share."""
THREE = Run(steps=3, batch=3)
SIX_STEPS = Run(steps=6)


def ours(seed: int = 1, **settings) -> Control:
    """settings: of the control."""
    return control_from_tensors(dict(WEIGHTS[seed])).with_settings(**settings)


def shaped(seed: int = 1, **factors) -> Control:
    return ours(seed, factors=StrengthFactors(**factors))


def core(seed: int = 1) -> comfy.controlnet.ControlNet:
    """Core's own ControlNet of the same weights."""
    network = core_network(width=WIDTH, **TWO_LEVELS)
    network.load_state_dict(WEIGHTS[seed])
    return comfy.controlnet.ControlNet(network, load_device=comfy.model_management.get_torch_device())


def of_file(state: dict[str, torch.Tensor], family: str = "SD1.5") -> Control:
    """A control from the tensors of a file, in whatever form."""
    form = recognise({key: tuple(value.shape) for key, value in state.items()})
    base = unet_weights(base_model(family)) if form.needs_base else None
    return control_from_tensors(form.convert(state, base), form.label, form=form)


def mask(count: int = 1) -> torch.Tensor:
    values = torch.zeros(count, 64, 64)
    for index in range(count):
        values[index, 8 * index : 40, 10:50] = 0.7
    return values


def areas() -> tuple[list, list]:
    positive, negative = prompts()
    placed = {"area": (5, 8, 3, 0), "strength": 1.0}
    return [*positive, [positive[0][0].roll(1, 2), placed]], negative


def applied(prompt: list, *units: Unit) -> list:
    for unit in units:
        prompt, _ = apply_unit(unit, prompt, [])
    return prompt


def positive_only(make: Callable[[int], object]) -> tuple[list, list]:
    positive, negative = prompts()
    return applied(positive, Unit(make(1), hint())), negative


def other_chains(make: Callable[[int], object]) -> tuple[list, list]:
    """Two prompts with chains of their own, which go through one pass."""
    positive, negative = prompts()
    first = applied(positive, Unit(make(1), hint()), Unit(make(2), hint(seed=2), 0.5))
    return first, applied(negative, Unit(make(2), hint(seed=3), 0.8))


def shared_network(make: Callable[[int], object]) -> list[Unit]:
    control = make(1)
    return [Unit(control, hint(seed=seed), 0.6) for seed in (1, 2)]


def cached(method: str, n: int = 2) -> Callable:
    return lambda model: with_step_cache(model, StepCacheSettings(method, EveryNthStep(n)))


def united() -> list[Unit]:
    control = set_union_type(of_file(tensors(union(8, 64)(), seed=4)), "depth")
    return [Unit(add_union_hint(control, "lines", hint(seed=2), 0.7), hint())]


CURVE = Schedule.parse("0: 1, 0.5: 0.4 ease, 1: 0.8")
ITEMS = ItemStrengths.parse("0: 1, 1: 0, 2: 0.5")

SCENES: dict[str, Scene] = {
    "plain": Scene(),
    "one": Scene(lambda: [Unit(ours(), hint(), 0.8)]),
    "a chain with core": Scene(
        lambda: [Unit(ours(), hint()), Unit(core(2), hint(seed=2)), Unit(ours(2), hint(seed=3))]
    ),
    "core outermost": Scene(lambda: [Unit(ours(), hint()), Unit(core(2), hint(seed=2))]),
    "a hint for each picture": Scene(lambda: [Unit(ours(), hint(3))], run=THREE),
    "hint and mask on the GPU": Scene(lambda: [Unit(ours(), here(hint()), mask=here(mask()))]),
    "mask": Scene(lambda: [Unit(ours(), hint(), mask=mask())]),
    "a mask for each picture": Scene(lambda: [Unit(ours(), hint(), mask=mask(3))], run=THREE),
    "schedule over the timesteps": Scene(lambda: [Unit(ours(), hint(), schedule=CURVE)]),
    "schedule over the steps": Scene(
        lambda: [Unit(ours(), hint(), schedule=Schedule.parse("0: 1, 0.5: 0.3", "steps"))]
    ),
    "a range": Scene(lambda: [Unit(ours(), hint(), start=0.2, end=0.7)]),
    "block weights": Scene(lambda: [Unit(ours(), hint(), block_weights=Listed((1.0, 0.5, 0.2)))]),
    "positive prompt only": Scene(lambda: [Unit(shaped(cfg_weights=CfgWeights(1, 0)), hint())]),
    "weights of the prompts": Scene(lambda: [Unit(shaped(cfg_weights=CfgWeights(1, 0.5)), hint())]),
    "items": Scene(lambda: [Unit(shaped(items=ITEMS), hint(3), mask=mask(3))], run=THREE),
    "areas": Scene(lambda: [Unit(ours(), hint())], areas),
    "areas with their parts": Scene(
        lambda: [Unit(with_fit(ours(), Fit(), "one each", own_region=True), hint(), mask=mask())], areas
    ),
    "a control of one prompt": Scene(prompt=lambda: positive_only(ours)),
    "two chains": Scene(prompt=lambda: other_chains(ours)),
    "joint hints": Scene(lambda: shared_network(ours)),
    "fewer runs": Scene(lambda: [Unit(with_run_interval(ours(), EveryNthStep(2)), hint())], run=SIX_STEPS),
    "fewer runs, adaptive": Scene(
        lambda: [Unit(with_run_interval(ours(seed), Adaptive(0.5)), hint(seed=seed)) for seed in (1, 2)], run=SIX_STEPS
    ),
    "recorded": Scene(lambda: [Unit(with_record(ours()), hint())]),
    "deep cache": Scene(lambda: [Unit(ours(), hint())], run=SIX_STEPS, change=cached("deep cache")),
    "encoder propagation": Scene(lambda: [Unit(ours(), hint())], run=SIX_STEPS, change=cached("encoder propagation")),
    "a step cache without control": Scene(run=SIX_STEPS, change=cached("deep cache")),
    "edges": Scene(lambda: [Unit(with_fit(ours(), Fit("fit inside", "edges"), "one each"), hint())]),
    "another size and sampler": Scene(
        lambda: [Unit(ours(), hint())], run=Run(steps=3, sampler="dpmpp_2m", height=72, width=104)
    ),
    "a chain": Scene(lambda: [Unit(ours(seed), hint(seed=seed)) for seed in (1, 2)]),
    "a chain of core": Scene(lambda: [Unit(core(seed), hint(seed=seed)) for seed in (1, 2)]),
    "core": Scene(lambda: [Unit(core(), hint(), 0.8)]),
    "Control-LoRA": Scene(lambda: [Unit(of_file(tensors(control_lora(SD15)(), seed=3)), hint())], family="SD1.5"),
    "CtrLoRA": Scene(
        lambda: [Unit(of_file(tensors(ctrlora_full(SD15)(), seed=3)), hint(), vae=Vae(4))], family="SD1.5"
    ),
    "SparseCtrl": Scene(
        lambda: [Unit(of_file(tensors(animatediff(sparse_ctrl(False))(), seed=3)), hint(2))], run=THREE, family="SD1.5"
    ),
    "SparseCtrl of latents": Scene(
        lambda: [Unit(of_file(tensors(animatediff(sparse_ctrl(True))(), seed=3)), hint(), vae=Vae(4))],
        run=THREE,
        family="SD1.5",
    ),
    "T2I-Adapter": Scene(
        lambda: [
            Unit(of_file(tensors(adapter(192)(), seed=3)), hint(), 0.7),
            Unit(of_file(tensors(adapter(64)(), seed=2)), hint(seed=2)),
        ],
        family="SD1.5",
    ),
    "union": Scene(united, sdxl_prompts, family="SDXL"),
    "LLLite": Scene(
        lambda: [Unit(of_file(tensors(lllite(128, {4: 1, 5: 1, 7: 2, 8: 2}, 2)(), seed=6)), hint(), mask=mask())],
        sdxl_prompts,
        family="SDXL",
    ),
}


def here(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.to(comfy.model_management.get_torch_device())


@functools.cache
def sampled(name: str) -> Outcome:
    return on_gpu(SCENES[name])


@pytest.fixture(scope="module", autouse=True)
def emptied():
    yield
    sampled.cache_clear()


@pytest.mark.parametrize("name", SCENES)
def test_a_gpu_gives_the_latents_of_the_cpu(name):
    cpu, gpu = on_cpu(SCENES[name]), sampled(name)
    assert torch.isfinite(cpu.latents).all()
    assert distance(gpu.latents, cpu.latents) <= 1e-5
    assert not [event for evaluation in gpu.evaluations for event in evaluation.on_cpu], "nothing is left to the CPU"


@pytest.mark.parametrize("name", SCENES)
def test_the_cpu_reads_one_value_a_pass_for_a_whole_chain(name):
    """Also at the first step, also with a step cache, and also where two chains go through one pass."""
    passes = 2 if name.startswith("areas") else 1  # areas of two sizes
    for evaluation in sampled(name).evaluations:
        assert len(caused_by_us(evaluation.reads)) <= passes


@pytest.mark.parametrize("name", SCENES)
def test_nothing_is_copied_from_the_cpu_after_the_first_step(name):
    others = sampled(name).evaluations[1:]
    late = others[1:] if name == "a range" else others  # where the network runs for the first time at the second step
    assert not [event for evaluation in late for event in caused_by_us(evaluation.copies)]


BESIDE_CORE: dict[str, tuple[str, Scene]] = {
    "one ControlNet": ("one", SCENES["core"]),
    "two in a chain": ("a chain", SCENES["a chain of core"]),
    "one ControlNet with two hints": ("joint hints", Scene(lambda: shared_network(core))),
    "on the positive prompt only": ("a control of one prompt", Scene(prompt=lambda: positive_only(core))),
    "two prompts with chains of their own": ("two chains", Scene(prompt=lambda: other_chains(core))),
}
RECORD = REPOSITORY / "benchmarks" / "measuring" / "gpu_counts.json"


def counts(outcome: Outcome) -> dict[str, int]:
    """The last step's launches, reads by the CPU, and copies from it, without those of a sampling without control."""
    own, plain = outcome.evaluations[-1], sampled("plain").evaluations[-1]
    return {
        "launches": own.launches - plain.launches,
        "reads": len(own.reads) - len(plain.reads),
        "copies": len(own.copies) - len(plain.copies),
    }


@pytest.mark.parametrize("title", BESIDE_CORE)
def test_a_step_costs_a_gpu_less_than_core_does(title):
    """And no more than docs/benchmarks.md says; UPDATE_COUNTERS=1 records anew."""
    name, reference = BESIDE_CORE[title]
    own, outcome = sampled(name), on_gpu(reference)
    both = {"core": counts(outcome), "ours": counts(own)}
    if "UPDATE_COUNTERS" in os.environ:
        known = json.loads(RECORD.read_text()) if RECORD.exists() else {}
        RECORD.write_text(json.dumps({**known, title: both}, indent=1) + "\n")
    assert all(both["ours"][what] <= both["core"][what] for what in ("launches", "copies"))
    assert both["ours"]["reads"] == 1
    recorded = json.loads(RECORD.read_text())[title]["ours"]
    assert all(both["ours"][what] <= recorded[what] for what in recorded)
    # The first step makes what all others use.
    assert own.evaluations[0].launches <= 1.01 * outcome.evaluations[0].launches


def leave_hints_on_the_cpu(monkeypatch):
    prepare = ControlNetRunner.prepare_hint
    monkeypatch.setattr(
        ControlNetRunner, "prepare_hint", lambda self, view: prepare(self, replace(view, device=torch.device("cpu")))
    )


def copy_numbers_at_every_step(monkeypatch):
    monkeypatch.setattr(Constants, "get", lambda self, numbers, *kind: torch.tensor(numbers).to(kind[1], kind[0]))


def read_a_value_more(monkeypatch):
    strength = control_step._strength
    monkeypatch.setattr(
        control_step, "_strength", lambda control, step: strength(control, step) + 0 * step.context.sum().item()
    )


def compute_in_another_dtype(monkeypatch):
    embed = ControlNet.embed_hint
    monkeypatch.setattr(ControlNet, "embed_hint", lambda self, hint: embed(self, hint.half()))


def test_a_tensor_that_is_left_on_the_cpu_is_refused(monkeypatch):
    leave_hints_on_the_cpu(monkeypatch)
    with pytest.raises(RuntimeError, match="two devices"):
        on_gpu(SCENES["one"])


def test_a_wrong_dtype_is_refused(monkeypatch):
    compute_in_another_dtype(monkeypatch)
    with pytest.raises(RuntimeError, match=r"dtype|type"):
        on_gpu(SCENES["one"])


def test_a_copy_and_a_read_more_are_seen(monkeypatch):
    copy_numbers_at_every_step(monkeypatch)
    read_a_value_more(monkeypatch)
    late = on_gpu(SCENES["items"]).evaluations[1]
    assert caused_by_us(late.copies)
    assert len(caused_by_us(late.reads)) == 2
