"""Steps on kept features: how much runs, on whose features, and that it is what the two methods say."""

import gc
import weakref
from typing import Any

import pytest
import torch
from support.comfy_host import small_model
from support.measures import relative_error
from support.sampling import Cancelled, Run, cancel_at, core, hint, ours, prompts, sample
from zeroconv.controlnet.caching.run_interval import EveryNthStep
from zeroconv.controlnet.caching.step_cache import METHODS, StepCache, StepCacheSettings
from zeroconv.host.conditioning import Unit, apply_unit
from zeroconv.host.sampling.step_cache import with_step_cache

STEPS = 7
EACH_METHOD = pytest.mark.parametrize("method", METHODS)


@pytest.fixture(scope="module")
def model():
    return small_model(64)


def cached(model, method="deep cache", n=3, start=0.0, end=1.0):
    return with_step_cache(model, StepCacheSettings(method, EveryNthStep(n), start, end))


class Blocks:
    """How often each block of the UNet ran."""

    def __init__(self, model):
        unet = model.model.diffusion_model
        self.counts = {}
        for name in ("input_blocks", "output_blocks"):
            for index, block in enumerate(getattr(unet, name)):
                self._watch((name.removesuffix("_blocks"), index), block[0])
        self._watch(("middle", 0), unet.middle_block[0])

    def _watch(self, place, layer):
        self.counts[place] = 0
        layer.register_forward_pre_hook(lambda *_: self.counts.__setitem__(place, self.counts[place] + 1))


@EACH_METHOD
def test_a_key_step_at_every_step_is_bit_identical_to_none(model, method):
    run, units = Run(steps=4), [Unit(ours(1), hint())]
    exact = sample(model, units, run)
    assert torch.equal(sample(cached(model, method, n=1), units, run), exact)
    assert torch.equal(sample(cached(cached(model, method), method, n=1), units, run), exact), "the last node counts"
    assert torch.equal(sample(cached(model, method, start=1.0), units, run), exact), "outside its range"
    assert not torch.equal(sample(cached(model, method), units, run), exact)


@pytest.mark.parametrize("n", [2, 3, 7])
@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "euler_ancestral"])
def test_deep_cache_runs_two_blocks_and_no_network_between(n, sampler):
    model, control = small_model(64), ours(1)
    blocks = Blocks(model)
    sample(cached(model, n=n), [Unit(control, hint())], Run(steps=STEPS, sampler=sampler))
    keys = -(-STEPS // n)
    everywhere = {("input", 0), ("output", 11)}
    assert blocks.counts == {place: STEPS if place in everywhere else keys for place in blocks.counts}
    assert control.runner.loaded.cache.counts.forwards == keys


@pytest.mark.parametrize("n", [2, 3])
def test_encoder_propagation_runs_the_decoder_and_no_network_between(n):
    model, control = small_model(64), ours(1)
    blocks = Blocks(model)
    sample(cached(model, "encoder propagation", n), [Unit(control, hint())], Run(steps=STEPS))
    keys = -(-STEPS // n)
    assert blocks.counts == {place: STEPS if place[0] == "output" else keys for place in blocks.counts}
    assert control.runner.loaded.cache.counts.forwards == keys


def plain_loop(unet, method, n):
    """The methods in the words of their papers: a `_forward` that counts its calls, one a step."""
    from comfy.ldm.modules.diffusionmodules.util import timestep_embedding

    state: dict[str, Any] = {"calls": 0}

    def encode(h, emb, context, blocks):
        skips = []
        for block in blocks:
            h = block(h, emb, context)
            skips.append(h)
        return h, skips

    def forward(x, timesteps, context, y, control, options, **_):
        emb = unet.time_embed(timestep_embedding(timesteps, unet.model_channels))
        key = state["calls"] % n == 0
        state["calls"] += 1
        blocks = list(unet.output_blocks)
        if key:
            h, skips = encode(x, emb, context, unet.input_blocks)
            h = unet.middle_block(h, emb, context) + control["middle"][0]
            state["residuals"] = list(control["output"])
            state["skips"] = [skip + more for skip, more in zip(skips, state["residuals"], strict=True)]
            state["middle"] = h
        if key or method == "encoder propagation":
            h, first = state["middle"], 0
            skips = state["skips"]
        else:
            _, skips = encode(x, emb, context, unet.input_blocks[:1])
            skips = [skips[0] + state["residuals"][0]]
            h, first = state["deep"], len(blocks) - 1
        for index in range(first, len(blocks)):
            if index == len(blocks) - 1:
                state["deep"] = h
            skip = skips[len(blocks) - 1 - index]
            size = skips[len(blocks) - 2 - index].shape if index < len(blocks) - 1 else None
            h = blocks[index](torch.cat([h, skip], 1), emb, context, output_shape=size)
        return unet.out(h)

    return forward


@EACH_METHOD
@pytest.mark.parametrize("control", [ours, core])
def test_it_is_what_a_plain_loop_over_the_blocks_gives(method, control, monkeypatch):
    model = small_model(64)
    run = Run(steps=STEPS, height=80, width=64)
    given = sample(cached(model, method, 3), [Unit(control(1), hint())], run)
    unet = model.model.diffusion_model
    monkeypatch.setattr(unet, "_forward", plain_loop(unet, method, 3))
    assert relative_error(given, sample(model, [Unit(core(1), hint())], run)) <= 1e-5


@EACH_METHOD
def test_sides_that_are_sampled_apart_are_kept_apart(model, method, monkeypatch):
    run, units = Run(steps=STEPS), [Unit(ours(1), hint())]
    together = sample(cached(model, method), units, run)
    monkeypatch.setattr(model.model, "memory_required", lambda shape, **_: 1e30 if shape[0] > 1 else 0)
    assert relative_error(sample(cached(model, method), units, run), together) <= 1e-4


@EACH_METHOD
def test_tiles_of_one_conditioning_are_kept_apart(model, method):
    """A pack that cuts the batch and calls the model for each piece, with the same identities and shapes."""
    run, units = Run(steps=STEPS, batch=2), [Unit(ours(1), hint())]
    together = sample(cached(model, method), units, run)

    def by_pieces(apply, given):
        x, t, c = given["input"], given["timestep"], given["c"]
        pieces = [[i, i + 2] for i in range(2)]  # a picture with both of its sides
        out = torch.empty_like(x)
        for rows in pieces:
            control = {
                part: [None if r is None else r[rows] for r in list(c["control"][part])] for part in c["control"]
            }
            own = {**c, "control": control, "c_crossattn": c["c_crossattn"][rows]}
            out[rows] = apply(x[rows], t[rows], **own)
        return out

    tiled = cached(model, method)
    tiled.set_model_unet_function_wrapper(by_pieces)
    assert relative_error(sample(tiled, units, run), together) <= 1e-4


@EACH_METHOD
def test_areas_are_kept_apart(model, method, monkeypatch):
    positive, negative = prompts()
    generator = torch.Generator().manual_seed(11)
    other = torch.randn(1, 77, 768, generator=generator)
    area = {"strength": 1.0, "set_area_to_bounds": False}
    regional = [
        [positive[0][0], {"area": (8, 8, 0, 0), **area}],
        [other, {"area": (8, 8, 0, 8), **area}],
        [other * 0.5, {}],
    ]
    run = Run(steps=STEPS, width=128)
    prompt = (regional, negative)
    together = sample(cached(model, method), [Unit(ours(1), hint())], run, prompt)
    monkeypatch.setattr(model.model, "memory_required", lambda shape, **_: 1e30 if shape[0] > 1 else 0)
    assert relative_error(sample(cached(model, method), [Unit(ours(1), hint())], run, prompt), together) <= 1e-4


@EACH_METHOD
def test_sizes_and_samplings_do_not_mix(model, method):
    first, second = cached(model, method), cached(small_model(64, seed=1), method, 2)
    units = [Unit(ours(1), hint())]
    runs = [(first, Run(steps=4)), (second, Run(steps=4)), (first, Run(steps=4, width=96)), (first, Run(steps=4))]
    results = [sample(model, units, run) for model, run in runs]
    assert torch.equal(results[0], results[3])
    assert not torch.equal(results[0], results[1])


def test_a_step_at_which_a_control_begins_or_ends_is_whole(model):
    control = ours(1)
    positive, negative = prompts()
    chain = apply_unit(Unit(control, hint(), start=0.35), positive, negative)
    sample(cached(model, n=7), [], Run(steps=STEPS), chain)
    assert control.runner.loaded.cache.counts.forwards == 1, "of the steps behind the start, the first"


@pytest.mark.parametrize("sampler", ["heun", "dpm_2", "uni_pc", "dpmpp_2s_ancestral"])
def test_samplers_that_evaluate_more_than_once_a_step_save_too(model, sampler):
    exact, half = ours(1), ours(1)
    run = Run(steps=6, sampler=sampler)
    sample(model, [Unit(exact, hint())], run)
    sample(cached(model, n=3), [Unit(half, hint())], run)
    counts = [control.runner.loaded.cache.counts.forwards for control in (exact, half)]
    assert counts[1] <= counts[0] / 2 + 1


def test_the_host_s_own_step_cache_goes_with_it(model):
    from comfy_extras import nodes_easycache

    for first in (True, False):
        both = cached(model) if first else model
        settings = {"reuse_threshold": 1.0, "start_percent": 0.1, "end_percent": 0.95, "verbose": False}
        both = nodes_easycache.EasyCacheNode.execute(both, **settings).args[0]
        both = both if first else cached(both)
        assert sample(both, [Unit(ours(1), hint())], Run(steps=STEPS)).isfinite().all()


@EACH_METHOD
def test_a_cancelled_sampling_leaves_nothing_and_the_next_is_right(model, method, monkeypatch):
    kept = []
    keep = StepCache.__init__
    monkeypatch.setattr(StepCache, "__init__", lambda self, *a: (keep(self, *a), kept.append(weakref.ref(self)))[0])
    units, sizes = [Unit(ours(1), hint())], []
    expected = sample(cached(model, method), units, Run())

    def cancel(step, *_):
        sizes.append(len(kept[-1]()))
        cancel_at(2)(step)

    reused = cached(model, method)
    with pytest.raises(Cancelled):
        sample(reused, units, Run(), callback=cancel)
    gc.collect()
    assert sizes == [1, 1, 1], "something is kept while it samples"
    assert all(cache() is None for cache in kept)
    assert torch.equal(sample(reused, units, Run()), expected)


def test_another_kind_of_model_is_refused(model):
    other = model.clone()
    other.model = type("Flux", (), {"diffusion_model": torch.nn.Linear(1, 1)})()
    with pytest.raises(ValueError, match=r"Flux.*SD1\.5"):
        cached(other)
    with pytest.raises(ValueError, match=r"starts at 0\.8"):
        cached(model, start=0.8, end=0.2)
