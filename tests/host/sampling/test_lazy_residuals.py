"""Residuals that wait until they are taken: lists like any other, and no run for a step that a cache skips."""

import copy
import operator
import weakref

import pytest
import torch
from support.checkpoints import SD15
from support.comfy_host import small_model
from support.dit_models import dit_model, sample_dit
from support.formats import tensors
from support.hosted import FAMILIES, Vae, from_tensors, tiny, vae_of
from support.layouts import ctrlora_full
from support.measures import relative_error
from support.sampling import Run, core, hint, ours, prompts, sample
from zeroconv.controlnet.formats import recognise
from zeroconv.host.conditioning import Unit, apply_unit
from zeroconv.host.loading.load import control_from_tensors
from zeroconv.host.sampling.lazy_residuals import PARTS, LazyList, known_length, lazy_residuals

STEPS = 12


@pytest.fixture(scope="module")
def model():
    return small_model(64)


class Made:
    """A control of three lists, and how often it was made."""

    def __init__(self):
        self.times = 0

    def __call__(self):
        self.times += 1
        return {"input": [], "middle": [torch.ones(2)], "output": [torch.zeros(1), None, torch.ones(1)]}


def lists(**lengths):
    made = Made()
    return made, lazy_residuals(made, dict.fromkeys(PARTS) | lengths)


READS = {
    "item": lambda values: values[-1],
    "slice": lambda values: values[:2],
    "pop": lambda values: (values.pop(), list(values)),
    "pop first": lambda values: (values.pop(0), list(values)),
    "iteration": lambda values: list(iter(values)),
    "unpacking": lambda values: [*values],
    "tuple": tuple,
    "reversed": lambda values: list(reversed(values)),
    "enumerate": lambda values: list(enumerate(values)),
    "length": len,
    "truth": bool,
    "contains": lambda values: None in values,
    "sum": lambda values: operator.add(values, [None]),
    "sum from the right": lambda values: operator.add([None], values),
    "copy": lambda values: values.copy(),
    "shallow copy": copy.copy,
    "append": lambda values: (values.append(None), list(values))[1],
    "extend": lambda values: (values.extend([None]), list(values))[1],
    "insert": lambda values: (values.insert(0, None), list(values))[1],
    "set": lambda values: (values.__setitem__(0, None), list(values))[1],
    "delete": lambda values: (values.__delitem__(0), list(values))[1],
    "clear": lambda values: (values.clear(), list(values))[1],
    "reverse": lambda values: (values.reverse(), list(values))[1],
    "representation": repr,
    "format": str,
}


@pytest.mark.parametrize("length", [3, None])
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_every_read_gives_what_a_list_gives(read, length):
    made, control = lists(output=length)
    values = control["output"]
    assert isinstance(values, list)
    expected = read(Made()()["output"])
    given = read(values)
    assert repr(given) == repr(expected)
    assert type(given) is type(expected), "copies and slices are ordinary"
    assert made.times <= 1


def test_all_lists_are_filled_by_one_computation():
    made, control = lists(input=0)
    assert [len(control[part]) for part in ("input", "middle", "output")] == [0, 1, 3]
    assert made.times == 1


def test_a_known_length_costs_nothing():
    made, control = lists(input=0, middle=1, output=3)
    assert [len(control[part]) for part in ("input", "middle", "output")] == [0, 1, 3]
    assert [known_length(control, part) for part in ("input", "middle", "output")] == [0, 1, 3]
    assert control["output"]
    assert not control["input"]
    assert made.times == 0


def test_an_unknown_length_is_not_computed_to_be_known():
    made, control = lists(input=0)
    assert [known_length(control, part) for part in PARTS] == [0, None, None]
    assert known_length(None, "middle") == 0
    assert made.times == 0


def test_a_failure_is_told_each_time():
    def fail():
        raise RuntimeError("out of memory")

    control = lazy_residuals(fail, dict.fromkeys(PARTS))
    for _ in range(2):
        with pytest.raises(RuntimeError, match="out of memory"):
            control["output"].pop()


def test_a_residual_that_was_taken_is_not_held():
    control = lists()[1]
    residual = control["output"].pop()
    held = weakref.ref(residual)
    del residual
    assert held() is None


def outermost(*units):
    chain = prompts()[0]
    for unit in units:
        chain, _ = apply_unit(unit, chain, chain)
    return chain[0][1]["control"]


def ask(control, model, options=None):
    control.pre_run(model.model, model.model.model_sampling.percent_to_sigma)
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(1, 4, 8, 8, generator=generator).repeat(2, 1, 1, 1)
    cond = {"c_crossattn": torch.randn(2, 77, 768, generator=generator)}
    options = {"cond_or_uncond": [0, 1]} if options is None else options
    with torch.inference_mode():
        return control.get_control(x, torch.full((2,), 3.0), cond, 2, options)


def test_a_chain_computes_nothing_before_the_first_residual_is_taken(model):
    controls = [ours(1), ours(2)]
    counts = [control.runner.loaded.cache.counts for control in controls]
    given = ask(outermost(*(Unit(control, hint()) for control in controls)), model)
    assert (len(given["input"]), len(given["middle"]), len(given["output"])) == (0, 1, 12)
    assert [count.forwards for count in counts] == [0, 0]
    with torch.inference_mode():
        taken = given["middle"].pop()
    assert isinstance(taken, torch.Tensor)
    assert [count.forwards for count in counts] == [1, 1]
    assert all(isinstance(residual, torch.Tensor) for residual in given["output"])
    assert [count.forwards for count in counts] == [1, 1]


class Passes:
    """How often the base model really ran."""

    def __init__(self, monkeypatch, model):
        self.count = 0
        unet = model.model.diffusion_model
        if not hasattr(unet, "_forward"):  # SD3's
            unet.x_embedder.register_forward_pre_hook(lambda *_: setattr(self, "count", self.count + 1))
            return
        forward = unet._forward
        monkeypatch.setattr(
            unet, "_forward", lambda *a, **k: (setattr(self, "count", self.count + 1), forward(*a, **k))[1]
        )


def cached(model, kind):
    """The model with one of core's step caches, set to skip a good part of the steps."""
    from comfy_extras import nodes_easycache

    node = getattr(nodes_easycache, f"{kind}Node")
    return node.execute(model, reuse_threshold=1.0, start_percent=0.1, end_percent=0.95, verbose=False).args[0]


@pytest.mark.parametrize("kind", ["EasyCache", "LazyCache"])
def test_a_step_that_a_cache_skips_costs_no_run(model, kind, monkeypatch):
    run = Run(steps=STEPS, sampler="euler")
    passes, control = Passes(monkeypatch, model), ours(1)
    sampled = sample(cached(model, kind), [Unit(control, hint())], run)
    assert 1 < passes.count < STEPS, "the cache must skip steps, or this test shows nothing"
    assert control.runner.loaded.cache.counts.forwards == passes.count
    by_core = sample(cached(model, kind), [Unit(core(1), hint())], run)
    assert relative_error(sampled, by_core) <= 1e-5


@pytest.mark.parametrize(
    ("name", "base", "kind"),
    [
        ("sd3", "sd3", "LazyCache"),  # the host's EasyCache does not reach SD3
        *[("flux xlabs", "flux", kind) for kind in ("EasyCache", "LazyCache")],
        *[("qwen-image", "qwen-image", kind) for kind in ("EasyCache", "LazyCache")],
    ],
)
def test_a_skipped_step_costs_no_run_of_the_hosts_families(name, base, kind, monkeypatch):
    model, family = dit_model(base), FAMILIES[name]
    with tiny(family):
        control = from_tensors(family.tensors(), name)
    runs = []
    control.runner.loaded.network.register_forward_pre_hook(lambda *_: runs.append(None))
    passes = Passes(monkeypatch, model)
    sample_dit(base, cached(model, kind), [Unit(control, hint(), vae=vae_of(family))], steps=STEPS)
    assert 1 < passes.count < STEPS
    assert len(runs) == passes.count


@pytest.mark.parametrize("kind", ["EasyCache", "LazyCache"])
def test_a_skipped_step_costs_no_run_of_a_ctrlora(model, kind, monkeypatch):
    held = tensors(ctrlora_full(SD15, 64)(), seed=3)
    form = recognise({key: tuple(value.shape) for key, value in held.items()})
    control = control_from_tensors(form.convert(held, None), "ctrlora", form=form)
    passes = Passes(monkeypatch, model)
    sample(cached(model, kind), [Unit(control, hint(), vae=Vae(4))], Run(steps=STEPS))
    assert 1 < passes.count < STEPS
    assert control.runner.loaded.cache.counts.forwards == passes.count


def test_chained_before_cores_control_a_cached_sampling_is_the_same(model):
    run = Run(steps=STEPS)
    chains = [[core(1), ours(2)], [ours(1), core(2)], [core(1), core(2)]]
    a, b, reference = (sample(cached(model, "EasyCache"), [Unit(c, hint()) for c in chain], run) for chain in chains)
    for other in (a, b):
        assert relative_error(other, reference) <= 1e-5


def test_a_compiled_base_model_takes_them():
    """torch.compile traces the base model, list and all; what it gives must not change.

    A UNet of two blocks and no attention, which takes long to trace and never sees the lists.
    """
    no_attention = {"transformer_depth": [0, 0], "transformer_depth_output": [0, 0, 0], "transformer_depth_middle": -1}
    unet = small_model(64, num_res_blocks=[2], channel_mult=[1], **no_attention).model.diffusion_model
    x, t, context = torch.randn(2, 4, 8, 8), torch.full((2,), 500.0), torch.randn(2, 77, 768)
    skips: list[torch.Tensor] = []
    for block in unet.input_blocks:
        block[-1].register_forward_hook(lambda module, inputs, output: skips.append(output))
    with torch.inference_mode():
        alone = unet(x, t, context=context, transformer_options={})
        made = {"input": [], "middle": [skips[-1] * 0.1], "output": [skip * 0.1 for skip in skips]}
        for block in unet.input_blocks:
            block[-1]._forward_hooks.clear()
        given = [lazy_residuals(lambda: {**made}, {name: len(made[name]) for name in PARTS}) for _ in range(2)]
        plain = unet(x, t, context=context, control=given[0], transformer_options={})
        compiled = torch.compile(unet, backend="eager")
        traced = compiled(x, t, context=context, control=given[1], transformer_options={})
    torch._dynamo.reset()
    assert relative_error(plain, alone) > 1e-3
    assert torch.allclose(traced, plain, atol=1e-4)


def test_an_ordinary_list_stands_for_no_residuals():
    control = lists(input=0)[1]
    assert not isinstance(control["input"], LazyList)
