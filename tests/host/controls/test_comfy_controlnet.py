"""Families that ComfyUI's own networks run: at default settings the bits of core alone; else our own factors."""

import functools

import pytest
import torch
from safetensors.torch import save_file
from support.comfy_host import import_host
from support.hosted import FAMILIES, base_model, from_tensors, step, tiny, vae_of
from zeroconv.storage.weights import shapes_of

import_host()

import comfy.controlnet
from zeroconv.controlnet.formats import recognise
from zeroconv.controlnet.strength.block_weights import Listed
from zeroconv.controlnet.strength.factors import StrengthFactors
from zeroconv.controlnet.strength.per_item import ItemStrengths
from zeroconv.host.conditioning import Unit, apply_unit
from zeroconv.host.controls.union import set_union_type
from zeroconv.host.loading.load import inspect_control, load_control

LARGE = "stable cascade large"
KINDS = [name for name in FAMILIES if name != LARGE]
"""The larger Stable Cascade differs from the other by its hint encoder alone, and takes as long as all others."""
DIT = [name for name in KINDS if name != "stable cascade"]


@functools.cache
def ours(name):
    with tiny(FAMILIES[name]):
        control = from_tensors(FAMILIES[name].tensors(), name)
    return set_union_type(control, "auto") if control.runner.union_types else control


@functools.cache
def core(name):
    with tiny(FAMILIES[name]):
        return comfy.controlnet.load_controlnet_state_dict(FAMILIES[name].tensors())


@pytest.fixture(scope="module", autouse=True)
def emptied():
    yield
    ours.cache_clear()
    core.cache_clear()


def image(count=1, seed=2):
    return torch.rand(count, 70, 90, 3, generator=torch.Generator().manual_seed(seed))


def applied(name, control, pictures=1, previous=None, **settings):
    """The control as Apply attaches it, in core's Apply or ours, whichever the control allows."""
    hint = settings.pop("image", None)
    unit = Unit(control, image(pictures) if hint is None else hint, vae=vae_of(FAMILIES[name]), **settings)
    (positive, _) = apply_unit(unit, [[torch.zeros(1, 5, 4), {"control": previous} if previous else {}]], [])
    return positive[0][1]["control"]


def run(name, control, pictures=1, sides=(0, 1), sigma=0.8):
    family = FAMILIES[name]
    model = base_model(family)
    x, cond = step(family, len(sides), pictures)
    t = torch.full((x.shape[0],), sigma if family.flow else 4.0)
    control.pre_run(model, model.model_sampling.percent_to_sigma)
    with torch.inference_mode():
        result = control.get_control(x, t, cond, len(sides), {"cond_or_uncond": list(sides)})
        return result and {part: list(values) for part, values in result.items()}


def flat(result):
    return [value for part in ("input", "middle", "output") for value in result.get(part) or []]


def same(mine, theirs):
    assert [value is None for value in flat(mine)] == [value is None for value in flat(theirs)]
    pairs = [(a, b) for a, b in zip(flat(mine), flat(theirs), strict=True) if a is not None]
    assert pairs
    # Core leaves the features of one hint one, where ours have a row for each of the latents.
    assert all(torch.equal(a, b.expand_as(a)) for a, b in pairs)
    assert any(bool(b.abs().max() > 0) for _, b in pairs)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("pictures", [1, 2])
@pytest.mark.parametrize("strength", [1.0, 0.7])
def test_the_bits_of_core(name, pictures, strength):
    mine = run(name, applied(name, ours(name), pictures, strength=strength), pictures)
    theirs = run(name, applied(name, core(name), pictures, strength=strength), pictures)
    if name == "stable cascade" and pictures > 1:  # core computes every hint once for each side, ours once
        for a, b in zip(flat(mine), flat(theirs), strict=True):
            assert (a is None and b is None) or torch.allclose(a, b, rtol=1e-4, atol=1e-5)
        return
    same(mine, theirs)


def test_the_bits_of_core_with_the_larger_hint_encoder():
    same(run(LARGE, applied(LARGE, ours(LARGE))), run(LARGE, applied(LARGE, core(LARGE))))


@pytest.mark.parametrize("name", KINDS)
def test_two_in_a_chain_give_the_bits_of_core(name):
    """Repeated tensors of one control are added to the other's once each."""
    chains = []
    for control in (ours(name), core(name)):
        first = applied(name, control, strength=0.5)
        chains.append(applied(name, control, previous=first, image=image(seed=5)))
    same(*(run(name, chain) for chain in chains))


@pytest.mark.parametrize("name", FAMILIES)
def test_the_file_tells_how_many_residuals_there_are(name):
    family = FAMILIES[name]
    control = ours(name)
    assert control.runner.abilities.residual_count == family.count
    assert sum(value is not None for value in flat(run(name, applied(name, control)))) == family.count
    assert recognise(shapes_of(family.tensors())).id == family.format


@pytest.mark.parametrize("name", KINDS)
def test_strength_zero_and_a_zero_mask_are_no_control(name):
    assert run(name, applied(name, ours(name), mask=torch.zeros(1, 8, 8))) is None
    conditioning = [[torch.zeros(1, 5, 4), {}]]
    unit = Unit(ours(name), image(), strength=0.0, vae=vae_of(FAMILIES[name]))
    assert apply_unit(unit, conditioning, conditioning)[0] is conditioning


@pytest.mark.parametrize("name", KINDS)
def test_a_mask_acts_on_the_picture(name):
    """Left half of the picture: the left columns of every token grid as without a mask, nothing at the right."""
    mask = torch.zeros(1, 16, 16)
    mask[..., :8] = 1
    height, width = FAMILIES[name].latent[-2:]
    plain = run(name, applied(name, ours(name)))
    masked = run(name, applied(name, ours(name), mask=mask))
    for before, after in zip(flat(plain), flat(masked), strict=True):
        if before is None:
            continue
        if before.dim() == 3:
            grid = (height // 2, width // 2, -1)
            before, after = (value.unflatten(1, grid[:2]).movedim(-1, 1) for value in (before, after))
        middle = before.shape[-1] // 2
        assert torch.equal(after[..., :middle], before[..., :middle])
        assert not after[..., before.shape[-1] - middle :].any()


@pytest.mark.parametrize("name", KINDS)
def test_block_factors_scale_each_residual_alone(name):
    """In order of depth, though several residuals may be one tensor."""
    count = FAMILIES[name].count
    weights = tuple(0.25 * (1 + index % 4) for index in range(count))
    plain = [v for v in flat(run(name, applied(name, ours(name)))) if v is not None]
    control = applied(name, ours(name), block_weights=Listed(weights))
    scaled = [v for v in flat(run(name, control)) if v is not None]
    if name.startswith("stable cascade"):  # its list is read from the end
        plain, scaled = plain[::-1], scaled[::-1]
    for before, after, weight in zip(plain, scaled, weights, strict=True):
        assert torch.equal(after, before * weight)


@pytest.mark.parametrize("name", KINDS)
def test_a_side_or_item_that_counts_nothing_gets_zeros_and_the_others_stay(name):
    """Rows of factor zero are not computed: the others must be what they are together, to rounding."""
    control = ours(name).copy()
    control = control.with_settings(factors=StrengthFactors(items=ItemStrengths.parse("0 = 0")))
    plain = run(name, applied(name, ours(name), 2), 2)
    partly = run(name, applied(name, control, 2), 2)
    for before, after in zip(flat(plain), flat(partly), strict=True):
        if before is not None:
            assert not after[[0, 2]].any()
            torch.testing.assert_close(after[[1, 3]], before[[1, 3]], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.vae])
def test_a_missing_vae_is_said_at_apply(name):
    with pytest.raises(ValueError, match=r"VAE to .*Apply"):
        apply_unit(Unit(ours(name), image()), [[torch.zeros(1, 5, 4), {}]], [])


def test_the_hint_goes_through_the_vae_once():
    control, name = ours("flux instantx"), "flux instantx"
    attached = applied(name, control)
    family, model = FAMILIES[name], base_model(FAMILIES[name])
    x, cond = step(family)
    attached.pre_run(model, model.model_sampling.percent_to_sigma)
    with torch.inference_mode():
        for sigma in (0.9, 0.6, 0.3):
            assert flat(attached.get_control(x, torch.full((2,), sigma), cond, 2, {}))
    assert attached.vae.calls == 1


@pytest.mark.parametrize("name", DIT)
def test_another_base_model_is_refused_in_words(name):
    other = "hunyuan-dit" if name != "hunyuan-dit" else "sd3"
    control, model = applied(name, ours(name)), base_model(FAMILIES[other])
    with pytest.raises(ValueError, match=f"but the MODEL is {FAMILIES[other].base}"):
        control.pre_run(model, model.model_sampling.percent_to_sigma)


def test_another_size_of_the_family_is_refused():
    control, model = applied("sd3", ours("sd3")), base_model(FAMILIES["sd3"])
    model.diffusion_model.hidden_size = 512
    with pytest.raises(ValueError, match="256 channels, the MODEL's blocks 512"):
        control.pre_run(model, model.model_sampling.percent_to_sigma)


def test_a_flux_union_counts_its_kinds_in_its_own_order():
    """Core's node numbers them as the SDXL union does: its 'depth' (1) is Flux's tile."""
    name = "flux union"
    mine = applied(name, set_union_type(ours(name), "depth"))
    theirs = core(name).copy()
    theirs.set_extra_arg("control_type", [2])
    same(run(name, mine), run(name, applied(name, theirs)))
    told = set_union_type(core(name), "depth")
    assert told.extra_args["control_type"] == [2]
    assert set_union_type(ours(name), "openpose").extra_args["control_type"] == [4]
    with pytest.raises(ValueError, match="canny, tile, depth, blur, pose, gray, low quality"):
        set_union_type(ours(name), "segment")


def test_a_flux_union_without_a_type_is_refused_at_apply():
    with tiny(FAMILIES["flux union"]):
        control = from_tensors(FAMILIES["flux union"].tensors(), "union")
    with pytest.raises(ValueError, match="Set Union ControlNet Type"):
        applied("flux union", control)


@pytest.mark.parametrize("name", ["flux instantx", "sd3"])
def test_loaded_from_the_folder_by_its_keys(name, controlnet_folder):
    family = FAMILIES[name]
    save_file(
        {key: value.contiguous() for key, value in family.tensors().items()}, controlnet_folder / "any.safetensors"
    )
    with tiny(family):
        control = load_control("any.safetensors")
    same(run(name, applied(name, control)), run(name, applied(name, core(name))))
    assert inspect_control("any.safetensors").residuals == family.count


def test_a_damaged_file_is_refused_in_words():
    tensors = FAMILIES["sd3"].tensors()
    tensors["controlnet_blocks.0.weight"] = torch.zeros(3, 3)
    with pytest.raises(ValueError, match="damaged or of a new kind"):
        from_tensors(tensors, "sd3")
