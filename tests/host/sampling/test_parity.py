"""Through a real server our nodes give the latents of ComfyUI's own ControlNet nodes."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from support.measures import relative_error
from zeroconv.comfy_client.workflow import Control, Sampling

from ..conftest import Compare, Link, Scene

TOLERANCE = 1e-5
# The control must change the picture by far more than the tolerance, or equality says nothing.
EFFECT = 1e-2

ODD_SIZE = Scene(width=72, height=56)
KARRAS = Sampling(scheduler="karras")

SCENES = {
    "sd15": (Scene(), [Link()]),
    "sd20": (Scene("sd20"), [Link()]),
    "sdxl": (Scene("sdxl"), [Link()]),
    "batch of 3": (Scene(batch=3), [Link()]),
    "batch of 3, a hint each": (Scene(batch=3, hints=3), [Link()]),
    "odd size, karras": (replace(ODD_SIZE, sampling=KARRAS), [Link()]),
    "264x200": (Scene(width=264, height=200, sampling=Sampling(steps=1)), [Link()]),
    "sdxl mid": (Scene("sdxl", control="sdxl-mid"), [Link()]),
    "odd size, sdxl mid, batch of 3": (Scene("sdxl", width=72, height=56, batch=3, control="sdxl-mid"), [Link()]),
    "odd size, sdxl": (Scene("sdxl", width=72, height=56), [Link()]),
    "weak": (Scene(), [Link(Control(0.35))]),
    "strong": (Scene(), [Link(Control(1.7))]),
    "first half": (Scene(), [Link(Control(1.0, 0.0, 0.5))]),
    "from 0.3 on, karras": (Scene(sampling=KARRAS), [Link(Control(1.0, 0.3, 1.0))]),
    "without guidance": (Scene(sampling=Sampling(cfg=1.0)), [Link()]),
}

FIRST, SECOND = Link(Control(0.8, 0.0, 0.6)), Link(Control(1.2, 0.3, 1.0), number=2)
CHAINS = {
    "ours twice": [FIRST, SECOND],
    "core's after ours": [FIRST, replace(SECOND, loader="core", node="core")],
    "ours after core's": [replace(FIRST, loader="core", node="core"), SECOND],
    "our loaders, core's nodes": [replace(FIRST, node="core"), replace(SECOND, node="core")],
    "core's loaders, our nodes": [replace(FIRST, loader="core"), replace(SECOND, loader="core")],
}


def by_core(links: list[Link]) -> list[Link]:
    return [replace(link, loader="core", node="core") for link in links]


@pytest.mark.parametrize("name", SCENES)
def test_same_latents_as_core(latents: Compare, name: str) -> None:
    scene, links = SCENES[name]
    ours, core, plain = latents(scene, [links, by_core(links), []])
    assert relative_error(plain, core) > EFFECT
    assert relative_error(ours, core) <= TOLERANCE


@pytest.mark.parametrize("name", ["sd15", "sd20", "sdxl", "sdxl mid"])
def test_each_input_moves_what_is_compared(
    latents: Compare, name: str, moved_enough: Callable[[dict[str, float], float], None]
) -> None:
    scene, (link,) = SCENES[name]
    link = replace(link, color=0xFFFFFF)
    chains = {
        "hint": [replace(link, color=0)],
        "strength": [replace(link, control=Control(0.9))],
        "range": [replace(link, control=Control(1.0, 0.0, 0.5))],
        "network": [replace(link, number=2)],
    }
    ours, *others = latents(scene, [[link], *chains.values()])
    moved = {name: relative_error(other, ours) for name, other in zip(chains, others, strict=True)}
    moved_enough(moved, 100 * TOLERANCE)


def test_same_latents_as_core_in_every_kind_of_chain(latents: Compare) -> None:
    chains = list(CHAINS.values())
    scene = replace(ODD_SIZE, batch=2)
    core, alone, *mixed = latents(scene, [by_core([FIRST, SECOND]), [FIRST], *chains])
    assert relative_error(alone, core) > EFFECT
    for name, latent in zip(CHAINS, mixed, strict=True):
        assert relative_error(latent, core) <= TOLERANCE, name


@pytest.mark.parametrize(
    "control",
    [Control(strength=0.0), Control(1.0, start=0.4, end=0.6)],
    ids=["strength 0", "a range between two steps"],
)
def test_no_control_is_bit_identical(latents: Compare, control: Control) -> None:
    ours, plain = latents(ODD_SIZE, [[Link(control)], []])
    assert torch.equal(ours, plain)


def test_the_same_run_twice_is_bit_identical(latents: Compare) -> None:
    first, second = latents(Scene(), [[FIRST, SECOND], [FIRST, SECOND]])
    assert torch.equal(first, second)
