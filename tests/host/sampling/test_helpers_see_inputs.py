"""The random networks that tests compare by: each input moves their result a hundred times as far as the bounds are.

Otherwise a wrong hint, mask, prompt or strength would pass as rounding.
"""

from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from support.checkpoints import SD15
from support.comfy_host import small_model, small_sdxl_model
from support.dit_models import dit_model, sample_dit
from support.formats import tensors
from support.hosted import FAMILIES, FilmVae, Vae, base_model, from_tensors, step, tiny, vae_of
from support.layouts import adapter, animatediff, ctrlora, ctrlora_base, light_adapter, lllite, sparse_ctrl
from support.measures import relative_error
from support.model_patches import PATCHES
from support.model_patches import here as patches_here
from support.model_patches import tensors as patch_tensors
from support.sampling import Run, hint, ours, prompts, sample, sdxl_prompts
from zeroconv.host.conditioning import Unit, apply_unit
from zeroconv.host.controls.union import set_union_type
from zeroconv.host.loading import load as loading

BOUND = 1e-5
"""Relative; what the tests allow beside core, in float32."""
SEEN = 100 * BOUND
PROMPT = ("c_crossattn", "y")
"""Where a step has it: its tokens, and the one vector that SD3.5's networks see of it."""


@pytest.fixture(scope="module")
def model():
    return small_model(64)


def test_each_input_moves_the_latents(model, moved_enough):
    white, half = torch.ones(1, 64, 64, 3), torch.zeros(1, 64, 64)
    half[:, :32] = 1
    plain = sample(model, [Unit(ours(1), white)], Run())
    others = {
        "hint": sample(model, [Unit(ours(1), 0 * white)], Run()),
        "mask": sample(model, [Unit(ours(1), white, mask=half)], Run()),
        "prompt": sample(model, [Unit(ours(1), white)], Run(), prompts()[::-1]),
        "strength": sample(model, [Unit(ours(1), white, 0.9)], Run()),
        "network": sample(model, [Unit(ours(2), white)], Run()),
    }
    moved = {name: relative_error(other, plain) for name, other in others.items()}
    moved_enough(moved, SEEN)


def residuals(name, image, strength=1.0, prompt=1.0):
    """All residuals of a family's tiny network, in a row."""
    family = FAMILIES[name]
    with tiny(family):
        control = from_tensors(family.tensors(), name)
    if control.runner.union_types:
        control = set_union_type(control, "auto")
    unit = Unit(control, image, strength, vae=vae_of(family))
    control = apply_unit(unit, [[torch.zeros(1, 5, 4), {}]], [])[0][0][1]["control"]
    base: Any = base_model(family)
    x, cond = step(family)
    control.pre_run(base, base.model_sampling.percent_to_sigma)
    cond = {key: value * prompt if key in PROMPT else value for key, value in cond.items()}
    sigma = torch.full((x.shape[0],), 0.8 if family.flow else 4.0)
    with torch.inference_mode():
        given = control.get_control(x, sigma, cond, 2, {"cond_or_uncond": [0, 1]})
        return torch.cat([value.flatten() for part in given.values() for value in list(part) if value is not None])


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "stable cascade large"])
def test_each_input_moves_the_residuals_of_the_hosts_families(name, moved_enough):
    white = torch.ones(1, 64, 96, 3)
    plain = residuals(name, white)
    moved = {
        "hint": relative_error(residuals(name, 0 * white), plain),
        "strength": relative_error(residuals(name, white, strength=0.9), plain),
    }
    if not name.startswith("stable cascade"):  # its network sees no prompt
        moved["prompt"] = relative_error(residuals(name, white, prompt=-1.0), plain)
    moved_enough(moved, SEEN)


def unit_of(name, image, strength=1.0):
    family = FAMILIES[name]
    with tiny(family):
        return Unit(from_tensors(family.tensors(), name), image, strength, vae=vae_of(family))


@pytest.mark.parametrize(("name", "base"), [("sd3", "sd3"), ("flux xlabs", "flux"), ("qwen-image", "qwen-image")])
def test_hint_and_strength_move_the_latents_of_transformers(name, base, moved_enough):
    reduced, white = dit_model(base), torch.ones(1, 64, 96, 3)
    units = {
        "plain": unit_of(name, white), "hint": unit_of(name, 0 * white), "strength": unit_of(name, white, 0.9),
        "seed": unit_of(name, hint(1, 64, 96)),
    }  # fmt: skip
    latents = {what: sample_dit(base, reduced, [unit], steps=2) for what, unit in units.items()}
    moved = {what: relative_error(latent, latents["plain"]) for what, latent in latents.items() if what != "plain"}
    moved_enough(moved, SEEN)


def own_kinds():
    """The kinds that this pack runs itself, beside ControlNets: tensors, and whether the hint goes through the VAE."""
    layers = {"layers": {4: 1, 5: 1, 7: 2, 8: 2}, "middle": 2}
    return {
        "t2i adapter": (tensors(adapter(192, 64)(), seed=3), False),
        "t2i adapter light": (tensors(light_adapter(192, 64), seed=3), False),
        "lllite": (tensors(lllite(128, **layers)(), seed=6), False),
        "sparse ctrl rgb": (tensors(animatediff(sparse_ctrl(True))(), seed=3), True),
        "sparse ctrl scribble": (tensors(animatediff(sparse_ctrl(False))(), seed=3), False),
        "ctrlora": (tensors(ctrlora(SD15, 4, 64)(), seed=1), True),
    }


OWN_KINDS = ("t2i adapter", "t2i adapter light", "lllite", "sparse ctrl rgb", "sparse ctrl scribble", "ctrlora")


@pytest.fixture
def load(controlnet_folder):
    """Load the file of these tensors by its name, as the node does."""

    def run(weights, base=None):
        for name, content in (("any", weights), ("base", base)):
            if content is not None:
                contiguous = {key: value.contiguous() for key, value in content.items()}
                save_file(contiguous, controlnet_folder / f"{name}.safetensors")
        return loading.load_control("any.safetensors", base_file=None if base is None else "base.safetensors")

    return run


def draw_own(name, model, control, vae, **settings):
    """The latents; with an image of ones unless another is given."""
    unit = Unit(control, settings.pop("image", torch.ones(1, 64, 64, 3)), vae=vae, **settings)
    run = Run(steps=2, batch=4 if "sparse" in name else 1)
    return sample(model, [unit], run, sdxl_prompts() if name == "lllite" else prompts())


@pytest.mark.parametrize("name", OWN_KINDS)
def test_each_input_moves_the_latents_of_our_own_kinds(name, load, model, moved_enough):
    weights, through_vae = own_kinds()[name]
    base = tensors(ctrlora_base(SD15, 4, 64)(), seed=2) if name == "ctrlora" else None
    control, vae = load(weights, base), Vae(4) if through_vae else None
    host = small_sdxl_model(64) if name == "lllite" else small_model(32) if "sparse" in name else model
    half = torch.zeros(1, 64, 64)
    half[:, :32] = 1
    plain = draw_own(name, host, control, vae)
    moved = {
        "hint": relative_error(draw_own(name, host, control, vae, image=torch.zeros(1, 64, 64, 3)), plain),
        "mask": relative_error(draw_own(name, host, control, vae, mask=half), plain),
        "strength": relative_error(draw_own(name, host, control, vae, strength=0.9), plain),
    }
    moved_enough(moved, SEEN)


@pytest.mark.parametrize("name", patches_here())
def test_each_input_moves_the_latents_of_model_patches(name, load, moved_enough):
    base = PATCHES[name]
    vae = FilmVae(16) if base == "wan" else Vae(16, frames=base in ("qwen-image", "anima"))
    reduced, control = dit_model(base), load(patch_tensors(name))
    image, half = torch.rand(1, 64, 96, 3, generator=torch.Generator().manual_seed(2)), torch.zeros(1, 64, 96)
    half[:, :32] = 1

    def draw(picture, **settings):
        return sample_dit(base, reduced, [Unit(control, picture, vae=vae, **settings)], steps=2)

    plain = draw(image)
    moved = {
        "hint": relative_error(draw(1 - image), plain),
        "mask": relative_error(draw(image, mask=half), plain),
        "strength": relative_error(draw(image, strength=0.9), plain),
    }
    moved_enough(moved, SEEN)
