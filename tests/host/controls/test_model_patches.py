"""Model patches through our Load and Apply: the latents of core's own nodes; and what those cannot do."""

import pytest
import torch
from safetensors.torch import save_file
from support.comfy_host import small_model
from support.dit_models import SIZES, dit_model, dit_prompts, sample_dit
from support.hosted import FilmVae, Vae
from support.measures import relative_error
from support.model_patches import (
    PATCHES,
    core_apply,
    core_patch,
    has_z_image,
    here,
    metadata,
    qwen_blockwise,
    tensors,
    z_image,
)
from zeroconv.controlnet.hint.fit import Fit
from zeroconv.controlnet.strength.block_weights import Listed
from zeroconv.controlnet.strength.cfg_weights import CfgWeights
from zeroconv.controlnet.strength.schedule import Schedule
from zeroconv.host.conditioning import Unit, apply_unit
from zeroconv.host.controls.runner import PatchRunner
from zeroconv.host.loading import load as loading
from zeroconv.host.preview import hints_as_seen
from zeroconv.host.settings import with_factors

HERE = here()
STEPS = 2
LAST_LAYERS = ("output_proj.weight", "feed_forward.w2.weight", "up.weight", "proj_in.weight")
needs_z_image = pytest.mark.skipif(not has_z_image(), reason="this ComfyUI has no Z-Image ControlNets")


@pytest.fixture(scope="module")
def models():
    return {base: dit_model(base) for base in {PATCHES[name] for name in HERE}}


@pytest.fixture
def control(controlnet_folder):
    def load(name, model=None):
        weights = {key: value.contiguous() for key, value in tensors(name).items()}
        save_file(weights, controlnet_folder / "any.safetensors", metadata(name) or None)
        loaded = loading.load_control("any.safetensors", model)
        assert isinstance(loaded.runner, PatchRunner)
        return loaded

    return load


def image(seed=2, count=1):
    """An image of the latent's own size, which core's node takes as it is."""
    return torch.rand(count, 64, 96, 3, generator=torch.Generator().manual_seed(seed))


def vae_of(name):
    if PATCHES[name] == "wan":
        return FilmVae(16)
    return Vae(16, frames=PATCHES[name] in ("qwen-image", "anima"))


def draw(name, models, units, pictures=1):
    return sample_dit(PATCHES[name], models[PATCHES[name]], units, pictures, STEPS)


def unit(name, control, **settings):
    hint = settings.pop("hint", None)
    return Unit(control, image() if hint is None else hint, vae=vae_of(name), **settings)


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("strength", [1.0, 0.6])
def test_the_latents_of_cores_nodes(name, strength, models, control):
    base = PATCHES[name]
    patched = core_apply(models[base], core_patch(name, tensors(name)), vae_of(name), image(), strength)
    theirs = sample_dit(base, patched, [], 2, STEPS)
    mine = draw(name, models, [unit(name, control(name), strength=strength)], pictures=2)
    plain = draw(name, models, [], pictures=2)
    assert torch.isfinite(theirs).all()
    assert torch.equal(mine, theirs)
    assert relative_error(plain, theirs) > 1e-3


@pytest.mark.parametrize("name", HERE)
def test_nothing_is_left_in_the_model(name, models, control):
    before = draw(name, models, [])
    draw(name, models, [unit(name, control(name))])
    assert torch.equal(draw(name, models, []), before)


@pytest.mark.parametrize("name", HERE)
def test_range_mask_sides_and_blocks_act_as_on_every_control(name, models, control):
    net = control(name)
    plain, whole = draw(name, models, []), draw(name, models, [unit(name, net)])
    black = draw(name, models, [unit(name, net, mask=torch.zeros(1, 8, 8))])
    white = draw(name, models, [unit(name, net, mask=torch.ones(1, 8, 8))])
    none = draw(name, models, [unit(name, net, block_weights=Listed((0.0,) * net.runner.abilities.residual_count))])
    half = Listed((0.5,) * net.runner.abilities.residual_count)
    assert torch.equal(black, plain)
    assert torch.equal(none, plain)
    assert relative_error(white, whole) <= 1e-5
    weighted = draw(name, models, [unit(name, net, block_weights=half)])
    assert relative_error(weighted, draw(name, models, [unit(name, net, strength=0.5)])) <= 1e-5
    assert torch.equal(draw(name, models, [unit(name, net, schedule=Schedule.parse("0: 1"))]), whole)
    assert torch.equal(draw(name, models, [unit(name, net, schedule=Schedule.parse("0: 0"))]), plain)
    assert torch.equal(draw(name, models, [unit(name, net, start=0.999)]), plain)
    prompt_only = with_factors(net, "side", lambda factors: type(factors)(cfg_weights=CfgWeights(1, 0)))
    parts = [
        draw(name, models, [unit(name, net, end=0.3)]),
        draw(name, models, [unit(name, net, mask=torch.eye(8)[None])]),
        draw(name, models, [unit(name, prompt_only)]),
    ]
    assert min(relative_error(part, other) for part in parts for other in (plain, whole)) > 1e-5


@pytest.mark.parametrize("name", [name for name in HERE if PATCHES[name] != "wan"])
def test_a_hint_for_each_picture_is_its_own(name, models, control):
    net, hints = control(name), image(count=2)
    together = draw(name, models, [unit(name, net, hint=hints)], pictures=2)
    for number in range(2):
        alone = draw(name, models, [unit(name, net, hint=hints[number : number + 1])], pictures=2)
        assert relative_error(together[number], alone[number]) <= 1e-5


@pytest.mark.parametrize("name", HERE)
def test_odd_sizes(name, models, control, monkeypatch):
    """A row of tokens that looks beyond the picture: the control acts, and a white mask changes nothing."""
    base = PATCHES[name]
    monkeypatch.setitem(SIZES, base, (*SIZES[base][:-2], 7, 11))
    plain, whole = draw(name, models, []), draw(name, models, [unit(name, control(name))])
    white = draw(name, models, [unit(name, control(name), mask=torch.ones(1, 8, 8))])
    assert torch.isfinite(whole).all()
    assert relative_error(plain, whole) > 1e-3
    assert relative_error(white, whole) <= 1e-5


@pytest.mark.parametrize("name", [name for name in HERE if PATCHES[name] in ("anima", "wan")])
def test_the_range_of_cores_node(name, models, control):
    base, part = PATCHES[name], {"start": 0.3, "end": 0.8}
    patched = core_apply(models[base], core_patch(name, tensors(name)), vae_of(name), image(), 0.7, **part)
    theirs = sample_dit(base, patched, [], steps=6)
    mine = sample_dit(base, models[base], [unit(name, control(name), strength=0.7, **part)], steps=6)
    whole = sample_dit(base, models[base], [unit(name, control(name), strength=0.7)], steps=6)
    assert torch.equal(mine, theirs)
    assert not torch.equal(whole, theirs)


@pytest.mark.skipif("wan uni3c" not in HERE, reason="this ComfyUI has no Uni3C")
@pytest.mark.parametrize("frames", [1, 5, 9, 12])
def test_a_film_runs_along_the_video_as_in_cores_node(frames, models, control):
    """9 frames make the 3 of the latent: fewer hold the last, more are cut."""
    name, film = "wan uni3c", image(count=frames)
    patched = core_apply(models["wan"], core_patch(name, tensors(name)), vae_of(name), film)
    theirs = sample_dit("wan", patched, [], 2, STEPS)
    net = control(name)
    assert torch.equal(draw(name, models, [unit(name, net, hint=film)], pictures=2), theirs)
    cut = film[: min(frames, 4)]
    assert torch.equal(draw(name, models, [unit(name, net, hint=cut)], pictures=2), theirs) == (frames == 1)


@pytest.mark.skipif("wan uni3c" not in HERE, reason="this ComfyUI has no Uni3C")
def test_a_context_window_sees_its_own_part_of_the_film(models, control, monkeypatch):
    from comfy.context_windows import (
        IndexListContextHandler,
        create_prepare_sampling_wrapper,
        get_matching_context_schedule,
        get_matching_fuse_method,
    )

    monkeypatch.setitem(SIZES, "wan", (16, 6, 8, 12))
    model = models["wan"].clone()
    model.model_options["context_handler"] = IndexListContextHandler(
        context_schedule=get_matching_context_schedule("standard_static"),
        fuse_method=get_matching_fuse_method("pyramid"),
        context_length=3, context_overlap=1, dim=2,
    )  # fmt: skip
    create_prepare_sampling_wrapper(model)
    net, film = control("wan uni3c"), image(count=21)
    network, seen = net.runner.loaded.network, []
    real = network.process_input
    monkeypatch.setattr(network, "process_input", lambda given: seen.append(given[:, 20:]) or real(given))
    sample_dit("wan", model, [unit("wan uni3c", net, hint=film)], steps=1)
    whole = net.runner.latent_format.process_in(FilmVae(16).encode(film))
    assert whole.shape[2] == 6
    for part, start in zip(seen, (0, 2, 3), strict=True):  # the host puts one more frame before a later window
        assert torch.equal(part, whole[:, :, max(0, start - 1) : start + 3])


@pytest.mark.skipif("wan uni3c" not in HERE, reason="this ComfyUI has no Uni3C")
@pytest.mark.parametrize(("frames", "seen"), [(1, [0] * 9), (5, [0, 1, 2, 3, 4, 4, 4, 4, 4]), (12, list(range(9)))])
def test_a_film_is_previewed_as_it_runs_along_the_video(frames, seen, control):
    name, film = "wan uni3c", image(count=frames)
    positive, _ = apply_unit(unit(name, control(name), hint=film), *dit_prompts())
    (shown,) = hints_as_seen(positive, torch.zeros(2, *SIZES["wan"]))
    assert torch.equal(shown, film[seen])


@pytest.mark.skipif("anima lllite" not in HERE, reason="this ComfyUI has no Anima")
def test_anima_does_not_know_videos(models, control, monkeypatch):
    monkeypatch.setitem(SIZES, "anima", (16, 3, 8, 12))
    with pytest.raises(ValueError, match=r"controls pictures, but the latent is a video of 3 frames"):
        draw("anima lllite", models, [unit("anima lllite", control("anima lllite"))])


def test_two_in_a_chain_both_act_as_two_of_cores_do(models, control):
    name = "qwen blockwise"
    net, patch = control(name), core_patch(name, tensors(name))
    patched = core_apply(models["qwen-image"], patch, vae_of(name), image(), 0.5)
    patched = core_apply(patched, patch, vae_of(name), image(5), 0.8)
    mine = draw(name, models, [unit(name, net, strength=0.5), unit(name, net, hint=image(5), strength=0.8)])
    assert torch.equal(mine, sample_dit("qwen-image", patched, [], steps=STEPS))


def test_a_hint_of_another_size_is_fitted_and_seen_once(models, control):
    name = "qwen blockwise"
    net = control(name)
    wide = torch.rand(1, 50, 130, 3, generator=torch.Generator().manual_seed(1))
    draw(name, models, [unit(name, net, hint=wide)])
    assert net.runner.loaded.cache.counts.hint_embeddings == 1
    assert net.settings.fit == Fit()


def test_a_missing_vae_and_another_family_are_told(models, control):
    net = control("qwen blockwise")
    with pytest.raises(ValueError, match="through the VAE"):
        net.set_cond_hint(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ValueError, match=r"for Qwen-Image, but the MODEL is BaseModel"):
        control("qwen blockwise", small_model(64))


def test_another_width_is_told(controlnet_folder, models):
    save_file(qwen_blockwise(blocks=2, width=48), controlnet_folder / "wide.safetensors")
    with pytest.raises(ValueError, match="48 channels, the MODEL's blocks 32"):
        loading.load_control("wide.safetensors", models["qwen-image"])


def test_a_precision_is_the_hosts_choice(control):
    control("qwen blockwise")
    with pytest.raises(ValueError, match=r"set 'fp8' to 'auto'"):
        loading.load_control("any.safetensors", precision="fp8")


@pytest.mark.parametrize("name", HERE)
def test_no_key_is_silently_missing_or_left_over(name, controlnet_folder):
    weights = {key: value.contiguous() for key, value in tensors(name).items()}
    lacking = next(key for key in weights if key.endswith(LAST_LAYERS))
    less = {key: value for key, value in weights.items() if key != lacking}
    save_file(less, controlnet_folder / "less.safetensors", metadata(name) or None)
    save_file(weights | {"more.weight": torch.zeros(2)}, controlnet_folder / "more.safetensors", metadata(name) or None)
    with pytest.raises(ValueError, match=r"less\.safetensors.*1 missing"):
        loading.load_control("less.safetensors")
    with pytest.raises(ValueError, match=r"more\.safetensors.*1 unknown"):
        loading.load_control("more.safetensors")


@pytest.mark.skipif(has_z_image(), reason="this ComfyUI runs them")
def test_an_older_host_says_that_it_must_be_updated(controlnet_folder):
    save_file(z_image("z-image"), controlnet_folder / "z.safetensors")
    with pytest.raises(ValueError, match=r"z\.safetensors.*Z-Image Fun ControlNet.*needs ComfyUI 0.33.*Update ComfyUI"):
        loading.load_control("z.safetensors")


@needs_z_image
@pytest.mark.parametrize(("name", "count"), [("z-image", 6), ("z-image 2.0", 17), ("z-image lite", 5)])
def test_inspection_counts_the_residuals(name, count, control):
    assert control(name).runner.abilities.residual_count == count
    assert loading.inspect_control("any.safetensors").residuals == count
