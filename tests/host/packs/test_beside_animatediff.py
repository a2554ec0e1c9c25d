"""AnimateDiff-Evolved's sliding windows: what the pack does to a control for each; ANIMATEDIFF_DIR names its folder."""

import importlib
from types import SimpleNamespace

import pytest
import torch
from support.comfy_host import import_host, small_model
from support.measures import relative_error
from support.other_packs import load_pack

import_host()

from support.sampling import hint, ours, prompts
from zeroconv.host.conditioning import Unit, apply_unit


@pytest.fixture(scope="module")
def sampling():
    load_pack("ANIMATEDIFF_DIR", "animatediff_beside")
    return importlib.import_module("animatediff_beside.animatediff.sampling")


@pytest.mark.parametrize("window", [[0, 1, 2], [3, 4, 5], [5, 0, 1]], ids=["begin", "end", "around"])
def test_every_window_gets_its_frames(sampling, window):
    """A chain of two controls, as the pack prepares it for the frames of a window."""
    model, first, second = small_model(64), hint(6, 64, 64, seed=1), hint(6, 64, 64, seed=2)

    def control(one, other):
        positive, _ = apply_unit(Unit(ours(1), one), prompts()[0], [])
        positive, _ = apply_unit(Unit(ours(2), other), positive, [])
        chain = positive[0][1]["control"]
        link = chain
        while link is not None:
            link.pre_run(model.model, model.model.model_sampling.percent_to_sigma)
            link = link.previous_controlnet
        return chain

    def residuals(chain):
        x = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(1))
        cond = {"c_crossattn": prompts()[0][0][0].repeat(3, 1, 1)}
        with torch.inference_mode():
            given = chain.get_control(x, torch.full((3,), 4.0), cond, 1, {"cond_or_uncond": [0], "uuids": ["a"]})
        return torch.cat([value.flatten() for value in given["output"]])

    options = SimpleNamespace(context_length=3)
    state = SimpleNamespace(params=SimpleNamespace(full_length=6, context_options=options))
    chain = control(first, second)
    assert sampling.prepare_control_objects(chain, window, state) is chain
    expected = residuals(control(first[window], second[window]))
    assert relative_error(residuals(chain), expected) <= 1e-5
