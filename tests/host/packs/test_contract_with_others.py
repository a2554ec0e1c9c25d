"""What other packs, guiders and nodes of ComfyUI do with a control: tiles, windows, lists of prompts, resized UNets."""

import importlib
import itertools
from dataclasses import replace
from typing import Any

import pytest
import torch
from support.comfy_host import small_model, small_sdxl_model
from support.formats import tensors
from support.layouts import lllite
from support.measures import relative_error
from support.sampling import Run, core, hint, ours, prompts, sample, sdxl_prompts
from zeroconv.controlnet.formats import recognise
from zeroconv.controlnet.strength.block_weights import Listed
from zeroconv.controlnet.strength.control_mode import CfgWeights, control_mode
from zeroconv.controlnet.strength.mask import Mask
from zeroconv.controlnet.strength.per_item import ItemStrengths
from zeroconv.host.conditioning import Unit, apply_unit
from zeroconv.host.loading.load import control_from_tensors
from zeroconv.host.settings import with_factors

import comfy.controlnet  # isort: skip
import comfy.samplers  # isort: skip
from comfy.ldm.modules.diffusionmodules import openaimodel  # isort: skip
from comfy_extras import nodes_custom_sampler, nodes_model_downscale  # isort: skip


@pytest.fixture(scope="module")
def model():
    return small_model(64)


def residuals(control, count=1, identity="a", sigma=4.0):
    """The skips' residuals of a latent of 8 x 8."""
    x = torch.randn(count, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    cond = {"c_crossattn": prompts()[0][0][0].repeat(count, 1, 1)}
    options = {"cond_or_uncond": [0], "uuids": [identity]}
    with torch.inference_mode():
        given = control.get_control(x, torch.full((count,), sigma), cond, 1, options)
    return None if given is None else torch.cat([value.flatten() for value in given["output"]])


def begun(control, model, picture, **settings):
    control = control.copy().set_cond_hint(picture.movedim(-1, 1), **settings)
    control.pre_run(model.model, model.model.model_sampling.percent_to_sigma)
    return control


@pytest.mark.parametrize("corner", [(0, 0), (0, 64), (64, 0), (64, 64)])
def test_a_tile_gets_the_part_of_the_hint_that_was_written_for_it(model, corner):
    """Packs that sample in tiles (Tiled Diffusion) write each tile's part into `cond_hint`."""
    picture, (top, left) = hint(1, 128, 128), corner
    part = picture[:, top : top + 64, left : left + 64]
    own, other = begun(ours(1), model, picture), begun(core(1), model, picture)
    whole = residuals(own)
    for control in (own, other):
        control.cond_hint = part.movedim(-1, 1)
    tile = residuals(own, identity="b")
    assert relative_error(tile, residuals(other)) <= 1e-5
    assert relative_error(tile, whole) > 1e-3


@pytest.mark.parametrize(
    "change",
    [
        lambda control: setattr(control, "strength", 0.25),
        lambda control: setattr(control, "timestep_range", (3.0, 0.0)),
        lambda control: setattr(control, "timestep_range", (9.0, 1.0)),
        lambda control: setattr(control, "cond_hint_original", hint(1, 64, 64, seed=9).movedim(-1, 1)),
        lambda control: setattr(control, "global_average_pooling", True),
    ],
    ids=["strength", "range that ended", "range that runs", "another hint", "pooling"],
)
def test_what_is_written_on_a_control_in_the_middle_of_a_run_counts(model, change):
    after = []
    for make in (ours, core):
        control = begun(make(1), model, hint(1, 64, 64))
        first = residuals(control)
        if make is core:
            control.cond_hint = None  # core keeps it until the size changes
        change(control)
        after.append(residuals(control, identity="b"))
    own, other = after
    if other is None:
        assert own is None
    else:
        assert relative_error(own, other) <= 1e-5
        assert relative_error(own, first) > 1e-3 or change(control) is None


def test_whoever_walks_a_conditioning_finds_cores_contract(model, monkeypatch):
    """Also in what stands for controls on some prompts only."""
    seen = []
    original = comfy.samplers.get_area_and_mult
    contract = vars(comfy.controlnet.ControlBase())

    def look(conds, *rest):
        control = conds.get("control")
        while control is not None:
            seen.append(type(control).__name__)
            assert [name for name in contract if not hasattr(control, name)] == []
            control.copy()
            control = control.previous_controlnet
        return original(conds, *rest)

    positive, negative = prompts()
    positive, _ = apply_unit(Unit(ours(1), hint()), positive, [])
    plain = sample(model, [], Run(steps=1), (positive, negative))
    monkeypatch.setattr(comfy.samplers, "get_area_and_mult", look)
    assert torch.equal(sample(model, [], Run(steps=1), (positive, negative)), plain)
    assert "JointControl" in seen


@pytest.mark.parametrize("window", [range(4, 12), [11, 0, 1, 2, 3, 4, 5, 6], range(8)], ids=["end", "around", "begin"])
def test_the_frames_of_a_sliding_window_get_their_own_hints(model, window):
    """AnimateDiff-Evolved writes them on the control."""
    pictures, window = hint(12, 64, 64), list(window)
    control = begun(ours(1), model, pictures)
    control.sub_idxs, control.full_latent_length, control.context_length = window, 12, 8
    seen = residuals(control, 8)
    assert relative_error(seen, residuals(begun(ours(1), model, pictures[window]), 8)) <= 1e-5
    assert relative_error(seen, residuals(begun(ours(1), model, pictures[[*window[1:], window[0]]]), 8)) > 1e-3


def advanced_apply(control, picture, mask=None, **overrides):
    """What `ACN_AdvancedControlNetApply_v2.execute` does with a control that has `sub_idxs` (1.5.8, 2026-07)."""
    assert hasattr(control, "sub_idxs")
    control = control.copy().set_cond_hint(picture.movedim(-1, 1), 1.0, (0.0, 1.0), None)
    control.disarm()
    asked = ("allow_condhint_latents", "require_vae", "postpone_condhint_latents_check")
    assert [getattr(control, name) for name in asked] == [False] * 3
    keyframes = overrides.pop("timestep_keyframes", None)
    if keyframes is not None:
        control.set_timestep_keyframes(keyframes)
    for name, value in overrides.items():
        setattr(control, name, value)
    control.verify_all_weights()
    if mask is not None:
        control.set_cond_hint_mask(mask)
    return control.set_previous_controlnet(None)


def test_the_mask_of_advanced_controlnets_apply_is_taken(model):
    picture, mask = hint(1, 64, 64), torch.zeros(1, 64, 64)
    mask[..., :32] = 1
    positive, _ = apply_unit(Unit(ours(1), picture, mask=mask), *prompts())
    given = []
    for control in (
        positive[0][1]["control"],
        advanced_apply(ours(1), picture, mask),
        advanced_apply(ours(1), picture),
    ):
        control.pre_run(model.model, model.model.model_sampling.percent_to_sigma)
        given.append(residuals(control))
    expected, masked, plain = given
    assert torch.equal(masked, expected)
    assert relative_error(masked, plain) > 1e-3


def test_a_mask_of_their_apply_is_cut_to_the_tile(model):
    picture, mask = hint(1, 64, 64), half_mask()
    x = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    control = advanced_apply(ours(1), picture, mask)
    control.pre_run(model.model, model.model.model_sampling.percent_to_sigma)
    control.cond_hint = cut(control.cond_hint_original, (0, 4), 8)
    part = cut(picture.movedim(-1, 1), (0, 4), 8).movedim(1, -1)
    expected = begun(masked(ours(1), cut(mask, (0, 4), 8)), model, part)
    assert is_same(tile_residuals(control, x), tile_residuals(expected, x))


@pytest.mark.parametrize("name", ["timestep_keyframes", "latent_keyframe_override", "weights_override"])
def test_what_only_advanced_controlnet_understands_is_refused_by_name(name):
    with pytest.raises(ValueError, match="does not know Advanced-ControlNet's"):
        advanced_apply(ours(1), hint(), **{name: object()})


@pytest.mark.parametrize("window", [[2, 3], [3, 0]], ids=["end", "around"])
def test_item_strengths_and_masks_follow_the_window(model, window):
    """A strength and a mask for every frame of the video, of which a window has some."""
    pictures = hint(4, 64, 64)
    masks = torch.stack([torch.full((64, 64), value) for value in (1.0, 0.25, 0.5, 0.75)])
    items = ItemStrengths.parse("0: 0.2, 1: 0.4, 2: 0.6, 3: 0.8")
    whole = with_factors(masked(ours(1), masks), "i", lambda f: replace(f, items=items))
    control = begun(whole, model, pictures)
    control.sub_idxs, control.full_latent_length, control.context_length = window, 4, 2
    parts = ItemStrengths.parse(", ".join(f"{place}: {0.2 + 0.2 * frame}" for place, frame in enumerate(window)))
    alone = with_factors(masked(ours(1), masks[window]), "i", lambda f: replace(f, items=parts))
    assert relative_error(residuals(control, 2), residuals(begun(alone, model, pictures[window]), 2)) <= 1e-5


def test_a_window_ends_with_its_sampling(model):
    control = begun(ours(1), model, hint(4, 64, 64))
    control.sub_idxs, control.full_latent_length, control.context_length = [2, 3], 4, 2
    control.cleanup()
    assert control.sub_idxs is None
    control.sub_idxs = [2, 3]  # of a run that failed, after which nobody calls cleanup
    control.pre_run(model.model, model.model.model_sampling.percent_to_sigma)
    expected = residuals(begun(ours(1), model, hint(4, 64, 64)), 4)
    assert relative_error(residuals(control, 4), expected) <= 1e-5


TILES = [(top, left) for top in (0, 4) for left in (0, 4)]


def cut(tensor, corner, scale):
    top, left = (place * scale for place in corner)
    return tensor[..., top : top + 4 * scale, left : left + 4 * scale]


def masked(control, mask):
    return with_factors(control, "mask", lambda factors: replace(factors, mask=Mask(mask)))


def half_mask():
    """Left half, where the tiles' borders are; the rest weak."""
    mask = torch.full((1, 64, 64), 0.25)
    mask[..., :40] = 1
    return mask


def tile_residuals(control, x, groups=1, whole_items=None):
    cond = {"c_crossattn": prompts()[0][0][0].repeat(x.shape[0], 1, 1)}
    marks = {"cond_or_uncond": list(range(groups)), "uuids": [str(g) for g in range(groups)]}
    options = {**marks, **({} if whole_items is None else {"zeroconv_items": whole_items})}
    with torch.inference_mode():
        given = control.get_control(x, torch.full((x.shape[0],), 4.0), cond, groups, options)
    return [value.clone() for value in given["output"]]


def is_same(given, expected):
    return all(relative_error(one, other) <= 2e-5 for one, other in zip(given, expected, strict=True))


@pytest.mark.parametrize("corner", TILES)
@pytest.mark.parametrize("way", ["cond_hint", "cond_hint_original"])
def test_a_mask_is_cut_with_the_hint(model, corner, way):
    """Tiled Diffusion and Tiled KSampler write the first, Ultimate SD Upscale the second."""
    picture, mask = hint(1, 64, 64), half_mask()
    x = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    control = begun(masked(ours(1), mask), model, picture)
    setattr(control, way, cut(control.cond_hint_original, corner, 8))
    part = cut(picture.movedim(-1, 1), corner, 8).movedim(1, -1)
    expected = begun(masked(ours(1), cut(mask, corner, 8)), model, part)
    assert is_same(tile_residuals(control, x), tile_residuals(expected, x))
    if corner == (0, 4):
        assert not is_same(tile_residuals(control, x), tile_residuals(begun(masked(ours(1), mask), model, part), x))


@pytest.mark.parametrize("way", ["cond_hint", "cond_hint_original"])
def test_a_tile_where_the_mask_is_black_gets_no_control(model, way):
    mask = torch.zeros(1, 128, 128)
    mask[..., :64] = 1
    x = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    control = begun(masked(ours(1), mask), model, hint(1, 64, 64))
    packed = control.cond_hint_original
    for corner, acts in (((0, 0), True), ((4, 4), False)):
        setattr(control, way, cut(packed, corner, 8))
        assert any(bool(value.any()) for value in tile_residuals(control, x)) is acts


def test_several_tiles_in_one_pass_keep_their_prompts(model):
    """Tiled Diffusion lays tile after tile, each with all prompts and pictures, and tells nobody."""
    picture, mask = hint(1, 64, 64), half_mask()
    x = torch.randn(8, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    weighted = with_factors(
        masked(ours(1), mask), "weights", lambda factors: replace(factors, cfg_weights=CfgWeights(1, 0.5))
    )
    control = begun(weighted, model, picture)
    whole = control.cond_hint_original.repeat(4, 1, 1, 1)
    control.cond_hint = torch.cat([cut(whole, corner, 8) for corner in TILES[:2]])
    together = tile_residuals(control, x, groups=2, whole_items=2)
    for tile, corner in enumerate(TILES[:2]):
        part = cut(picture.movedim(-1, 1), corner, 8).movedim(1, -1)
        single = masked(ours(1), cut(mask, corner, 8))
        alone = begun(with_factors(single, "w", lambda f: replace(f, cfg_weights=CfgWeights(1, 0.5))), model, part)
        rows = slice(4 * tile, 4 * tile + 4)
        assert is_same([value[rows] for value in together], tile_residuals(alone, x[rows], 2, 2))


@pytest.mark.parametrize("side", [64, 192])
def test_a_tile_of_the_whole_picture_is_no_tile(model, side):
    """Nor where the mask is finer than the hint."""
    picture, mask = hint(1, 64, 64), (hint(1, side, side, seed=8)[..., 0] > 0.9).float()
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    control = begun(masked(ours(1), mask), model, picture)
    plain = tile_residuals(control, x)
    control.cond_hint = control.cond_hint_original.clone()
    assert is_same(tile_residuals(control, x), plain)


def test_a_hint_for_every_row_goes_to_its_row(model):
    """Also where the prompts share their noise, and one run would do for all of them."""
    pictures = hint(2, 64, 64)
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1)).repeat(2, 1, 1, 1)
    control = begun(ours(1), model, pictures[:1])
    control.cond_hint = pictures.movedim(-1, 1)
    given = tile_residuals(control, x, groups=2)
    for row in range(2):
        alone = tile_residuals(begun(ours(1), model, pictures[row : row + 1]), x[:1])
        assert is_same([value[row : row + 1] for value in given], alone)


def test_another_packs_own_hint_leaves_the_mask(model):
    """A picture of three channels is a hint that somebody has put there, and no part of the old one."""
    picture, other, mask = hint(1, 64, 64), hint(1, 64, 64, seed=9), half_mask()
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    control = begun(masked(ours(1), mask), model, picture)
    control.cond_hint_original = other.movedim(-1, 1)
    assert is_same(tile_residuals(control, x), tile_residuals(begun(masked(ours(1), mask), model, other), x))


def test_it_is_a_controlnet_to_who_asks(model):
    """Tiled KSampler cuts the hints of the host's ControlNets only, in the dtype of their networks."""
    control = begun(ours(1), model, hint(1, 64, 64))
    assert isinstance(control, comfy.controlnet.ControlNet)
    assert control.control_model.dtype == torch.float32
    assert control.device == torch.device("cpu")


def test_a_compiled_network_runs_and_is_compiled_once(model):
    """TorchCompileControlNet of KJNodes puts it in the place of `control_model`."""
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    plain = tile_residuals(begun(ours(1), model, hint(1, 64, 64)), x)
    control = ours(1)
    control.control_model = torch.compile(control.control_model, backend=backend)
    control = begun(control, model, hint(1, 64, 64))
    assert is_same(tile_residuals(control, x), plain)
    first = len(graphs)
    for seed in range(2, 5):
        tile_residuals(control, torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(seed)))
    assert len(graphs) == first > 0
    with pytest.raises(ValueError, match="keeps its network"):
        control.control_model = torch.nn.Identity()


class Skips(torch.nn.Module):
    """Takes the residuals as core's UNet does; nothing of it is a network."""

    def forward(self, skips, control):
        return sum(openaimodel.apply_control(skip, control, "output").sum() for skip in skips)


@pytest.mark.parametrize("before", [core, ours])
def test_a_compiled_base_model_compiles_nothing_of_the_control(model, before):
    """TorchCompileModel: the compiler follows the UNet into the lists of residuals. Nothing is compiled anew later."""
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph.code)
        return graph.forward

    positive, negative = prompts()
    for control in (before(1), ours(2)):
        positive, negative = apply_unit(Unit(control, hint(1, 64, 64)), positive, negative)
    control = positive[0][1]["control"]
    control.pre_run(model.model, model.model.model_sampling.percent_to_sigma)
    plain, compiled = Skips(), torch.compile(Skips(), backend=backend)
    counts = []
    for seed, sigma in enumerate((9.0, 6.0, 3.0)):
        x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed))
        cond, options = {"c_crossattn": positive[0][0]}, {"cond_or_uncond": [0], "uuids": ["a"]}
        with torch.inference_mode():
            given = [control.get_control(x, torch.full((1,), sigma), cond, 1, dict(options)) for _ in range(2)]
            skips = [torch.zeros_like(residual) for residual in reversed(list(given[1]["output"]))]
            expected = plain([skip.clone() for skip in skips], given[1])
            torch.testing.assert_close(compiled(skips, given[0]), expected)
        counts.append(len(graphs))
    assert counts[0] == counts[-1]
    assert not [code for code in graphs if "conv" in code or "linear" in code or "norm" in code]


def draw(model, control, on):
    """Sampled with DualCFGGuider, which lists its prompts as negative, middle, positive."""
    positive, negative = prompts()
    conds = {"positive": positive, "middle": [[positive[0][0].flip(1), {}]], "negative": negative}
    for name in on:
        conds[name], _ = apply_unit(Unit(control, hint()), conds[name], [])
    guider = nodes_custom_sampler.Guider_DualCFG(model)
    guider.set_conds(*(conds[name] for name in ("positive", "middle", "negative")))
    guider.set_cfg(5.0, 3.0)
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "normal", 2)
    with torch.inference_mode():
        sampler = comfy.samplers.sampler_object("euler")
        return guider.sample(noise, torch.zeros_like(noise), sampler, sigmas, disable_pbar=True, seed=3)


def test_cond_only_means_every_prompt_but_the_negative(model):
    only = with_factors(ours(1), "mode", lambda factors: factors.in_mode(control_mode("cond only")))
    every = ("positive", "middle", "negative")
    drawn = draw(model, only, every)
    assert relative_error(drawn, draw(model, ours(1), ("positive", "middle"))) <= 1e-4
    others = (names for count in (1, 2, 3) for names in itertools.combinations(every, count))
    assert all(relative_error(drawn, draw(model, ours(1), on)) > 1e-3 for on in others if on != ("positive", "middle"))


def shrunk(model, after_skip):
    """With Kohya Deep Shrink: half the size behind the third block."""
    node = nodes_model_downscale.PatchModelAddDownscale
    return node.execute(model, 3, 2.0, 0.0, 1.0, after_skip, "bicubic", "bicubic").args[0]


@pytest.mark.parametrize("after_skip", [True, False])
def test_deep_shrink_keeps_the_control(model, after_skip):
    run = Run(steps=2, height=128, width=128)
    unit = Unit(ours(1), hint(), block_weights=Listed((0,) * 5 + (1,) * 8))  # behind the block at which it shrinks
    small = shrunk(model, after_skip)
    effect = relative_error(sample(small, [unit], run), sample(small, [], run))
    assert effect > relative_error(sample(model, [unit], run), sample(model, [], run)) / 5


def test_lllite_under_deep_shrink_names_it():
    held = tensors(lllite(128, layers={4: 1, 5: 1, 7: 2, 8: 2}, middle=2)(), seed=6)
    form = recognise({key: tuple(value.shape) for key, value in held.items()})
    control = control_from_tensors(held, "lllite", form=form)
    small, run = shrunk(small_sdxl_model(64), True), Run(steps=1, height=128, width=128)
    with pytest.raises(ValueError, match="Deep Shrink"):
        sample(small, [Unit(control, hint())], run, sdxl_prompts())


def test_apply_without_a_control_says_who_gave_none():
    with pytest.raises(ValueError, match="the node that loads it gave nothing"):
        apply_unit(Unit(None, hint()), *prompts())


@pytest.mark.parametrize("make", [ours, core])
def test_a_range_that_never_acts_is_told_at_apply(make):
    with pytest.raises(ValueError, match="would never act"):
        apply_unit(Unit(make(1), hint(), start=0.6, end=0.4), *prompts())


def test_cores_apply_takes_pictures_with_alpha_and_grey_ones(model):
    """A picture with alpha counts as its colors, a grey one as three equal channels."""
    picture, run = hint(1, 64, 64), Run(steps=1)
    grey = picture[..., :1]
    alpha = torch.cat([picture, torch.ones_like(grey)], -1)

    comfy_nodes: Any = importlib.import_module("nodes")

    def applied(image):
        wired = comfy_nodes.ControlNetApplyAdvanced().apply_controlnet(*prompts(), ours(1), image, 1.0, 0.0, 1.0)
        return sample(model, [], run, wired)

    assert relative_error(applied(alpha), applied(picture)) <= 1e-5
    assert relative_error(applied(grey), applied(grey.expand(-1, -1, -1, 3))) <= 1e-5
    assert relative_error(applied(grey), applied(picture)) > 1e-3
