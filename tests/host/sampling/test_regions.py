"""Prompts for areas of the picture: each gets the part of the hint, and of the mask, that lies there."""

from dataclasses import replace

import pytest
import torch
from support.comfy_host import small_model
from support.measures import relative_error
from support.sampling import Run, hint, ours, prompts, sample
from zeroconv.controlnet.caching.run_interval import EveryNthStep
from zeroconv.controlnet.hint.fit import Fit, fit_hint
from zeroconv.controlnet.networks.union import UnionHint
from zeroconv.controlnet.strength.mask import Mask
from zeroconv.host.conditioning import Unit, apply_unit
from zeroconv.host.sampling.regions import Layers
from zeroconv.host.settings import with_fit, with_run_interval

RUN = Run(height=128, width=64, steps=3)
"""Latents of 16 x 8 points."""
UPPER, LOWER = (8, 8, 0, 0), (8, 8, 8, 0)
"""Areas as the host writes them: height, width, top, left."""


@pytest.fixture(scope="module")
def model():
    return small_model(64)


def own_region(seed=1):
    return with_fit(ours(seed), Fit(), "one each", own_region=True)


def area_prompts(*areas):
    """A positive prompt for each area, and one negative for all."""
    positive, negative = prompts()
    return [
        [torch.roll(positive[0][0], number, 2), {"area": area, "strength": 1.0}] for number, area in enumerate(areas)
    ], negative


def hints_seen(control):
    """The hints that the network is given to embed, from now on."""
    seen = []
    encoder = control.runner.loaded.network.input_hint_block
    encoder.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
    return seen


@pytest.mark.parametrize("separately", [True, False], ids=["one by one", "batched"])
def test_each_area_sees_its_part(model, monkeypatch, separately):
    if separately:
        monkeypatch.setattr(model.model, "memory_required", lambda shape, **_: 1e30 if shape[0] > 1 else 0)
    control = own_region()
    seen = hints_seen(control)
    sample(model, [Unit(control, hint())], RUN, area_prompts(UPPER, LOWER))
    whole = fit_hint(hint().movedim(-1, 1), (128, 64), Fit())
    shown = {tuple(picture.shape[-2:]): [] for picture in seen}
    for picture in seen:
        shown[tuple(picture.shape[-2:])].append(picture)
    assert set(shown) <= {(64, 64), (128, 64)}
    parts = shown[64, 64]
    assert any(torch.equal(part, whole[..., :64, :]) for part in parts)
    assert any(torch.equal(part, whole[..., 64:, :]) for part in parts)
    assert len(parts) == 2, "each part is embedded once"


def test_an_area_equals_the_same_area_with_a_hint_cut_by_hand(model):
    """The whole hint has the picture's size; cut out by hand and laid over the area it must act the same."""
    picture = torch.cat([torch.zeros(1, 64, 64, 3), torch.ones(1, 64, 64, 3)], dim=1)
    for area, rows in ((UPPER, slice(0, 64)), (LOWER, slice(64, 128))):
        cut = sample(model, [Unit(ours(1), picture[:, rows])], RUN, only_area(area))
        own = sample(model, [Unit(own_region(), picture)], RUN, only_area(area))
        assert torch.equal(own, cut)
        assert not torch.equal(own, sample(model, [Unit(ours(1), picture)], RUN, only_area(area)))


def only_area(area):
    """Both prompts for one area, so that nothing but the area is sampled."""
    positive, negative = prompts()
    return tuple([[side[0][0], {"area": area, "strength": 1.0}]] for side in (positive, negative))


def test_a_mask_is_cut_with_the_hint(model):
    picture, mask = hint(height=128, width=64), torch.rand(1, 128, 64)
    mask[:, :64] = 0
    own = sample(model, [Unit(own_region(), picture, mask=mask)], RUN, only_area(UPPER))
    assert torch.equal(own, sample(model, [], RUN, only_area(UPPER)))
    by_hand = sample(model, [Unit(ours(1), picture[:, 64:], mask=mask[:, 64:])], RUN, only_area(LOWER))
    own = sample(model, [Unit(own_region(), picture, mask=mask)], RUN, only_area(LOWER))
    assert relative_error(own, by_hand) <= 1e-5


def test_two_areas_together_equal_two_by_themselves(model, monkeypatch):
    """Areas of one size are sampled in one batch, with other hints in its rows; masks for each picture, too."""
    run = Run(height=128, width=64, steps=2, batch=2)
    units = [
        Unit(own_region(), hint(2, 128, 64), mask=torch.rand(2, 128, 64, generator=torch.Generator().manual_seed(1)))
    ]
    together = sample(model, units, run, area_prompts(UPPER, LOWER))
    monkeypatch.setattr(model.model, "memory_required", lambda shape, **_: 1e30 if shape[0] > 2 else 0)
    apart = sample(model, units, run, area_prompts(UPPER, LOWER))
    assert relative_error(together, apart) <= 1e-4


def test_two_hints_of_one_network_are_both_cut(model):
    def units(first, second):
        return [Unit(first, hint(seed=1)), Unit(second, hint(seed=2))]

    shared, run = own_region(), Run(height=128, width=64, steps=2, batch=2)
    together = sample(model, units(shared, shared), run, area_prompts(UPPER, LOWER))
    apart = sample(model, units(own_region(), own_region()), run, area_prompts(UPPER, LOWER))
    assert relative_error(together, apart) <= 1e-6


@pytest.mark.parametrize("area", [("percentage", 0.5, 1.0, 0.5, 0.0), (30, 8, 8, 0)], ids=["share", "beyond the edge"])
def test_areas_are_where_the_host_puts_them(model, area):
    control = own_region()
    seen = hints_seen(control)
    sample(model, [Unit(control, hint(height=128, width=64))], Run(height=128, width=64, steps=1), only_area(area))
    assert [torch.equal(picture, hint(height=128, width=64).movedim(-1, 1)[..., 64:, :]) for picture in seen] == [True]


def test_without_areas_nothing_changes(model):
    run = Run(batch=2)
    plain = sample(model, [Unit(ours(1), hint())], run)
    assert torch.equal(sample(model, [Unit(own_region(), hint())], run), plain)


def test_a_chain_cuts_only_where_it_was_asked(model):
    first, second = ours(1), own_region(2)
    seen = [hints_seen(control) for control in (first, second)]
    sample(model, [Unit(first, hint()), Unit(second, hint())], RUN, only_area(LOWER))
    squeezed = fit_hint(hint().movedim(-1, 1), (64, 64), Fit())
    part = fit_hint(hint().movedim(-1, 1), (128, 64), Fit())[..., 64:, :]
    assert torch.equal(seen[0][0], squeezed)
    assert torch.equal(seen[1][0], part)


def test_areas_of_one_size_are_kept_apart_between_runs(model, monkeypatch):
    monkeypatch.setattr(model.model, "memory_required", lambda shape, **_: 1e30 if shape[0] > 1 else 0)
    run = Run(height=128, width=64, steps=4)
    control = with_run_interval(own_region(), EveryNthStep(2))
    sample(model, [Unit(control, hint())], run, area_prompts(UPPER, LOWER))
    exact = own_region()
    sample(model, [Unit(exact, hint())], run, area_prompts(UPPER, LOWER))
    assert control.runner.loaded.cache.counts.forwards >= exact.runner.loaded.cache.counts.forwards / 2


def test_the_models_options_are_left_as_they_were(model):
    before = {key: dict(value) for key, value in model.wrappers.items()}
    sample(model, [Unit(own_region(), hint())], RUN, only_area(LOWER))
    assert {key: dict(value) for key, value in model.wrappers.items()} == before
    assert "zeroconv_areas" not in model.model_options.get("transformer_options", {})


def test_networks_that_cannot_cut_say_so(monkeypatch):
    control = ours(1)
    monkeypatch.setattr(control.runner, "abilities", replace(control.runner.abilities, regions=False))
    with pytest.raises(ValueError, match="whole hint over an area"):
        with_fit(control, Fit(), "one each", own_region=True)
    assert not with_fit(control, Fit(), "one each").settings.own_region


def test_conditionings_keep_their_areas():
    positive, negative = area_prompts(UPPER)
    controlled, _ = apply_unit(Unit(own_region(), hint()), positive, negative)
    assert controlled[0][1]["area"] == UPPER


def test_a_tile_of_packed_layers_is_the_tile_of_each():
    """Hint, mask and union hints of other sizes, cut as packs cut the one tensor that they find on a control."""
    generator = torch.Generator().manual_seed(1)
    picture, mask = (torch.rand(shape, generator=generator) for shape in ((2, 3, 64, 64), (2, 64, 64)))
    depth, lines = (torch.rand(1, 3, 64, 64, generator=generator) for _ in range(2))
    layers = Layers(picture, Mask(mask), (UnionHint(depth, 1, 0.5), UnionHint(lines, 3)))
    packed = layers.packed()
    assert packed.shape == (2, layers.channels, 64, 64)
    cut = layers.unpacked(packed[..., 16:48, 8:40])
    assert torch.equal(cut.hint, picture[..., 16:48, 8:40])
    assert cut.mask is not None
    assert torch.equal(cut.mask.values, mask[..., 16:48, 8:40])
    for one, whole in zip(cut.union_hints, (depth, lines), strict=True):
        assert torch.equal(one.hint, whole[..., 16:48, 8:40].expand(2, -1, -1, -1))
    assert [(one.type, one.strength) for one in cut.union_hints] == [(1, 0.5), (3, 1.0)]


def test_a_hint_with_nothing_beside_it_travels_alone():
    picture = torch.rand(1, 3, 8, 8)
    assert Layers(picture).packed() is picture
    three = Layers(picture.expand(3, -1, -1, -1), Mask(torch.rand(2, 8, 8)))
    assert three.packed() is three.hint
