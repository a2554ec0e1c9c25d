"""Whole samplings of reduced base models with the families that ComfyUI's own networks run: the latents of core."""

import pytest
import torch
from support.comfy_host import import_host
from support.dit_models import dit_model, sample_dit
from support.hosted import FAMILIES, from_tensors, tiny, vae_of

import_host()

import comfy.controlnet
from zeroconv.host.conditioning import Unit
from zeroconv.host.controls.union import set_union_type

CASES = {
    "sd3": "sd3",
    "flux xlabs": "flux",
    "flux mistoline": "flux",
    "flux instantx": "flux",
    "flux union": "flux",
    "qwen-image": "qwen-image",
    "qwen-image fun": "qwen-image",
}
"""The base model of every kind of control."""
HERE = [name for name in CASES if name in FAMILIES]


@pytest.fixture(scope="module")
def models():
    return {base: dit_model(base) for base in dict.fromkeys(CASES.values())}


def image(seed=2):
    return torch.rand(1, 70, 90, 3, generator=torch.Generator().manual_seed(seed))


def unit(name, control, **settings):
    return Unit(control, image(settings.pop("seed", 2)), vae=vae_of(FAMILIES[name]), **settings)


def both(name):
    """Our control and core's, of the same file."""
    with tiny(FAMILIES[name]):
        mine = from_tensors(FAMILIES[name].tensors(), name)
        theirs = comfy.controlnet.load_controlnet_state_dict(FAMILIES[name].tensors())
    return set_union_type(mine, "auto") if mine.runner.union_types else mine, theirs


@pytest.mark.parametrize("name", HERE)
def test_the_latents_of_core(name, models):
    base = CASES[name]
    mine, theirs = (sample_dit(base, models[base], [unit(name, control)]) for control in both(name))
    assert torch.isfinite(theirs).all()
    assert torch.equal(mine, theirs)
    assert not torch.equal(mine, sample_dit(base, models[base], []))


@pytest.mark.parametrize("name", [name for name in ("sd3", "flux instantx", "qwen-image") if name in HERE])
def test_the_latents_of_core_with_two_in_a_chain_a_range_and_a_batch(name, models):
    base, latents = CASES[name], []
    for control in both(name):
        units = [unit(name, control, strength=0.5, end=0.6), unit(name, control, strength=0.8, seed=6)]
        latents.append(sample_dit(base, models[base], units, pictures=2))
    assert torch.equal(*latents)
