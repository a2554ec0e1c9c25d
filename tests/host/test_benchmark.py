"""The benchmark in miniature: sides that take turns sample what they sample alone, and the report tells all of it."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest
import torch
from support.comfy_host import import_host
from zeroconv.comfy_client.server import REPOSITORY

import_host()

from zeroconv.benchmarks.measuring.counting import Tally
from zeroconv.benchmarks.measuring.figures import sampling_ratio, step_ratio
from zeroconv.benchmarks.measuring.plot import draw
from zeroconv.benchmarks.measuring.report import write_report
from zeroconv.benchmarks.measuring.timing import Spread, paired, steps_of
from zeroconv.benchmarks.measuring.workload import Settings, measure, plans_of
from zeroconv.benchmarks.models.random_models import Models
from zeroconv.benchmarks.sides.diffusers_side import DiffusersSide
from zeroconv.benchmarks.sides.in_comfyui import ADVANCED, ADVANCED_FOLDER, CORE, OURS, PLAIN
from zeroconv.benchmarks.sides.sampling import sample_in_turn
from zeroconv.benchmarks.workloads import WORKLOADS, Scale, Use, choose

SIDES = (PLAIN, CORE, ADVANCED, DiffusersSide(), OURS)
TINY = Scale(width=64, latent=8, rank=4)
RANGE = (Use(1, 0.8), Use(2, 0.6, end=0.5))


@pytest.fixture(scope="module")
def results():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(ADVANCED_FOLDER, raising=False)
        workload = replace(WORKLOADS["W1"], uses=RANGE, scale=TINY, steps=2, attentions=("sdpa",))
        return measure(workload, Models("SD1.5", TINY.width), Settings(SIDES, rounds=1))


def test_every_side_samples_the_same_picture(results):
    for name in ("diffusers", "ours"):
        assert 0 < results[name]["latent error"] < 1e-5
        assert 0 < results[name]["prediction error"] < 1e-5
    assert "latent error" not in results["plain"]


def test_every_side_samples_the_same_picture_of_sdxl():
    workload = replace(WORKLOADS["W3"], scale=replace(TINY, latent=4), steps=1, attentions=("sdpa",), precision="fp32")
    sides = (CORE, DiffusersSide(), OURS)
    found = measure(workload, Models("SDXL", TINY.width, "fp32"), Settings(sides, rounds=0))
    for name in ("diffusers", "ours"):
        assert 0 < found[name]["prediction error"] < 1e-5


def test_what_is_absent_is_left_out_and_said(results):
    assert ADVANCED_FOLDER in results["Advanced-ControlNet"]["left out"]


def test_a_range_saves_evaluations_but_in_diffusers(results):
    forwards = {name: results[name]["total"]["forwards"] for name in ("core", "diffusers", "ours")}
    assert forwards == {"core": 3, "diffusers": 4, "ours": 3}


def test_every_side_takes_every_step_in_each_round(results):
    for name in ("plain", "core", "diffusers", "ours"):
        assert [(first, count) for first, count, _ in results[name]["turns"][0]] == [(0, 1), (1, 1)]
        assert step_ratio(results, name, name) == Spread(1.0, 1.0, 1.0)
        assert sampling_ratio(results, name, "core").median > 0


def test_the_first_of_single_steps_is_no_step_like_the_others():
    assert steps_of([[(0, 1, 9.0), (1, 1, 2.0)], [(0, 20, 40.0)]]) == [2.0, 2.0]
    assert paired([2.0, 9.0], [1.0, 3.0]) == Spread(2.5, 2.0, 3.0)


def test_the_report_and_the_plot_name_every_side(results):
    machine = dict.fromkeys(("device", "cores", "threads", "torch", "ComfyUI", "diffusers", "python", "date"), "1")
    entry = {"name": "W1", "title": "one", "steps": 2, "precision": "auto", "machine": machine, "results": results}
    document = json.loads(json.dumps({"workloads": {"W1 at 64 px": entry}}))
    report = write_report(document, "plot.svg")
    for name, result in results.items():
        assert f"Left out: {name}" in report if "left out" in result else f"\n| {name} | " in report
    rows = [line.count("|") for line in report.splitlines() if line.startswith("| ours")]
    assert rows == [8, 12], "of times and of counts"
    shown = ElementTree.fromstring(draw(document["workloads"]))
    texts = [element.text for element in shown.iter() if element.tag.endswith("text")]
    assert {"core", "ours", "diffusers", "W1 at 64 px"} <= set(texts)


def test_the_published_report_is_what_its_numbers_give():
    numbers = REPOSITORY / "docs" / "benchmarks.json"
    document = json.loads(numbers.read_text(encoding="utf-8"))
    assert numbers.with_suffix(".md").read_text(encoding="utf-8") == write_report(document, "benchmarks.svg")
    assert numbers.with_suffix(".svg").read_text(encoding="utf-8") == draw(document["workloads"])


def test_workloads_are_chosen_by_name_and_size():
    latent = {"SD1.5": 32, "SDXL": 128}
    assert [w.label for w in choose("W1, W2@64,W3", latent)] == ["W1 at 256 px", "W2 at 512 px", "W3 at 1024 px"]
    assert [w.steps for w in choose("W1,W10", latent, steps=2)] == [2, WORKLOADS["W10"].steps]
    with pytest.raises(ValueError, match="no workload 'W0'"):
        choose("W0", latent)


def test_turns_share_no_state():
    """A side's picture is bit-identical whether the others sample in between or not."""
    workload = replace(WORKLOADS["W1"], uses=RANGE, scale=TINY, steps=2)
    models = Models("SD1.5", TINY.width)
    sides = {side.name: side.prepare(workload, models) for side in (CORE, OURS)}
    (plan,), cpu = plans_of(workload, models), torch.device("cpu")
    together = sample_in_turn(sides, plan, Tally(list), 1, cpu)
    for name, side in sides.items():
        alone = sample_in_turn({name: side}, plan, Tally(list), 1, cpu)
        assert torch.equal(alone[name].x, together[name].x)
