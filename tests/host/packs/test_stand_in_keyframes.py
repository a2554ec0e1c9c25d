"""Advanced-ControlNet's keyframes and weights as our factors: what acts when, and a sampling by them."""

import pytest
import torch
from support.comfy_host import import_host, small_model

import_host()

from support.sampling import Run, core, hint, ours, prompts, sample
from zeroconv.controlnet.strength.block_weights import Listed, MiddleTimes, Numbered, Soft, Uniform
from zeroconv.host.conditioning import Unit
from zeroconv.nodes.stand_ins.advanced_controlnet import CONTROLNETS, apply, loaders
from zeroconv.nodes.stand_ins.keyframes import (
    BEGINNING,
    ControlWeights,
    LatentKeyframes,
    TimestepKeyframe,
    between,
    parse_latent_keyframes,
    parts_of,
    with_keyframes,
)

ROWS = {row.id: row for row in CONTROLNETS}


def run(name, **values):
    row = ROWS[name]
    return row.run(**row.complete(values))


def strengths(keyframes, positions, latents=None, weights=None):
    """The factor of every part at the positions."""
    parts = parts_of(keyframes, latents, weights)
    return [[1.0 if p.schedule is None else p.schedule.factor(at) for at in positions] for p in parts]


def test_before_the_first_keyframe_all_acts():
    assert strengths(with_keyframes(None, TimestepKeyframe(0.5, 0.2)), (0, 0.49, 0.5, 1)) == [[1, 1, 0.2, 0.2]]


def test_of_two_keyframes_at_one_start_the_last_counts():
    frames = with_keyframes(None, TimestepKeyframe(0, 0.5), TimestepKeyframe(0, 0.7))
    assert strengths(frames, (0, 1)) == [[0.7, 0.7]]


def test_what_changes_is_a_part_of_its_own():
    soft, hard = ControlWeights(Soft()), ControlWeights(Uniform(0.5))
    frames = with_keyframes(None, TimestepKeyframe(0.3, 0.8, soft), TimestepKeyframe(0.6, weights=hard))
    parts = parts_of(frames, None, None)
    assert [part.weights for part in parts] == [None, soft, hard]
    assert strengths(frames, (0, 0.3, 0.6, 1)) == [[1, 0, 0, 0], [0, 0.8, 0, 0], [0, 0, 1, 1]]


def test_what_a_keyframe_lacks_it_inherits_or_not():
    soft = ControlWeights(Soft())
    for inherits, found in ((True, soft), (False, None)):
        frames = with_keyframes(None, TimestepKeyframe(0, 1, soft), TimestepKeyframe(0.5, 1, inherits=inherits))
        assert parts_of(frames, None, None)[-1].weights is found


def test_what_apply_gives_overrules_all_keyframes():
    given = ControlWeights(Uniform(0.25))
    frames = with_keyframes(None, TimestepKeyframe(0, 1, ControlWeights(Soft())), TimestepKeyframe(0.5, 0.5))
    (part,) = parts_of(frames, LatentKeyframes({1: 0.5}), given)
    assert part.weights is given
    assert part.items.factors(3) == (0.0, 0.5, 0.0)


def test_items_that_are_not_there_do_not_count():
    items = LatentKeyframes({0: 0.5, -1: 0.25, 9: 0.1}).items(0.75)
    assert items.factors(3) == (0.5, 0.75, 0.25)


@pytest.mark.parametrize(
    ("text", "count", "expected"),
    [
        ("0, 2=0.5", None, {0: 1.0, 2: 0.5}),
        ("1:3=0.25,5", None, {1: 0.25, 2: 0.25, 5: 1.0}),
        ("-1=0.5, 0:-1=0", 3, {2: 0.5, 0: 0.0, 1: 0.0}),
        ("", None, {}),
    ],
)
def test_latents_by_text(text, count, expected):
    assert parse_latent_keyframes(text, count).strengths == expected


@pytest.mark.parametrize(("text", "count"), [("a=1", None), ("-1", None), ("5", 3), ("1:2:3", 3), ("1=b", 3)])
def test_a_wrong_text_is_quoted(text, count):
    with pytest.raises(ValueError, match=f"'{text}'"):
        parse_latent_keyframes(text, count)


def test_easing():
    assert between(1, 3, 3, "linear") == [1, 2, 3]
    assert between(0, 1, 3, "ease-in") == [0, 0.25, 1]
    assert between(0, 1, 3, "ease-out") == [0, 0.75, 1]
    assert between(0, 1, 3, "ease-in-out") == pytest.approx([0, 0.5, 1])


def test_numbered_weights_know_their_middle():
    assert Numbered((0.1, 0.2), 0.5).factors(3) == (0.1, 0.2, 0.5)
    assert Numbered((0.1, 0.2, 0.3), 0.5).factors(3) == (0.1, 0.2, 0.5)
    assert Numbered((0.1,), 0.5).factors(4) == (0.1, 1, 1, 0.5)
    assert MiddleTimes(Uniform(0.5), 3).factors(3) == (0.5, 0.5, 1.5)


def test_the_soft_weights_of_13_blocks_are_the_scaled_ones():
    by_hand, _ = run("ACN_SoftControlNetWeightsSD15")
    scaled, _ = run("ACN_ScaledSoftControlNetWeights")
    assert by_hand.blocks.factors(13) == pytest.approx(scaled.blocks.factors(13))
    adapter, _ = run("ACN_SoftT2IAdapterWeights")
    assert adapter.blocks == Listed((0.25, 0.62, 0.825, 1.0))


@pytest.mark.parametrize("name", [name for name in ROWS if not any(i.listing for i in ROWS[name].inputs)])
def test_nothing_optional_is_needed(name):
    """Weights, keyframes and Apply run without each optional input, alone and all together."""
    row = ROWS[name]
    needed = {
        "CONDITIONING": prompts()[0], "CONTROL_NET": ours(1), "IMAGE": hint(), "VAE": object(),
        "LATENT": {"samples": torch.zeros(1, 4, 8, 8)},
    }  # fmt: skip
    usual = {
        i.id: i.default if i.is_widget else needed.get(i.type) for i in row.inputs if i.is_widget or not i.optional
    }
    optional = [i.id for i in row.inputs if i.optional and i.id in usual]
    for gone in [(), *((name,) for name in optional), tuple(optional)]:
        row.run(**row.complete({key: value for key, value in usual.items() if key not in gone}))


# A sampling by them


@pytest.fixture(scope="module")
def model():
    return small_model(64)


def applied(model, control, batch=1, **values):
    positive, negative = prompts()
    image = hint()
    outputs = run(
        "ACN_AdvancedControlNetApply_v2",
        positive=positive,
        negative=negative,
        control_net=control,
        image=image,
        **values,
    )
    return sample(model, [], Run(steps=5, batch=batch), outputs)


def same(one, other):
    assert (one - other).norm() <= 1e-3 * other.norm()


def test_apply_alone_is_cores(model):
    same(applied(model, ours(1), strength=0.8), sample(model, [Unit(core(1), hint(), 0.8)], Run(steps=5)))


def test_weights_that_change_act_in_their_part_of_the_sampling(model):
    """Weights of nothing in the second half are the control ended there."""
    off = ControlWeights(Uniform(0.0))
    frames = with_keyframes(None, TimestepKeyframe(0.5, weights=off))
    half = run("TimestepKeyframe", start_percent=0.5, strength=0.0)[0]
    ended = applied(model, ours(1), timestep_kf=half)
    same(applied(model, ours(1), timestep_kf=frames), ended)
    assert not torch.allclose(ended, applied(model, ours(1)), rtol=0, atol=0.05)


def test_a_keyframes_mask_counts_from_its_start_on(model):
    mask = torch.zeros(1, 64, 64)
    late = with_keyframes(None, TimestepKeyframe(0.5, mask=mask))
    half = with_keyframes(None, TimestepKeyframe(0.5, strength=0.0))
    same(applied(model, ours(1), timestep_kf=late), applied(model, ours(1), timestep_kf=half))


def test_latents_without_a_keyframe_are_left_alone(model):
    both = applied(model, ours(1), batch=2, latent_kf_override=LatentKeyframes({1: 1.0}))
    whole, free = applied(model, ours(1), batch=2), sample(model, [], Run(steps=5, batch=2))
    same(both[0], free[0])
    same(both[1], whole[1])


def test_a_loader_keeps_keyframes_that_stay_the_same_and_refuses_others(model):
    _, shortcut = run("ACN_ScaledSoftControlNetWeights", base_multiplier=0.5)
    loaded = loaders._with_keyframes(ours(1), shortcut)
    same(applied(model, loaded), applied(model, ours(1), timestep_kf=shortcut))
    changing = with_keyframes(BEGINNING, TimestepKeyframe(0.5, weights=ControlWeights(Soft())))
    with pytest.raises(ValueError, match="timestep_kf of Apply"):
        loaders._with_keyframes(ours(1), changing)


def test_one_prompt_alone_is_controlled_on_both_sides(model):
    positive, negative = prompts()
    (controlled, _) = run(
        "ACN_AdvancedControlNetApplySingle_v2", conditioning=positive, control_net=ours(1), image=hint()
    )
    same(sample(model, [], Run(steps=5), (controlled, negative)), applied(model, ours(1)))


def test_the_mask_of_animas_extras_is_what_is_painted_anew(monkeypatch):
    """It goes with the weights to Apply."""
    units = []
    monkeypatch.setattr(apply, "apply_unit", lambda unit, *prompts: units.append(unit) or prompts)
    mask = torch.rand(1, 8, 8)
    (extras,) = run("ACN_AnimaLLLiteExtras", inpaint_mask=mask, cn_extras={"middle_mult": 0.5})
    weights, keyframe = run("ACN_DefaultUniversalWeights", cn_extras=extras)
    for given in ({"weights_override": weights}, {"timestep_kf": keyframe}, {}):
        run("ACN_AdvancedControlNetApply_v2", positive=[], negative=[], control_net=ours(1), image=hint(), **given)
    assert units[0].inpaint_mask is units[1].inpaint_mask is mask
    assert units[2].inpaint_mask is None
    assert isinstance(weights.blocks, MiddleTimes)
