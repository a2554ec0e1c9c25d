"""Our control in ComfyUI's real sampling code, beside core's own ControlNet on the same weights."""

import pytest
import torch
from support.comfy_host import small_model
from support.measures import relative_error
from support.networks import dimensions, random_network
from support.sampling import Cancelled, Run, cancel_at, core, hint, ours, prompts, sample
from zeroconv.host.conditioning import Unit, apply_unit
from zeroconv.host.loading.load import control_from_tensors


@pytest.fixture(scope="module")
def model():
    return small_model(64)


def assert_equal_to_core(model, units_with, run: Run) -> None:
    a, b = (sample(model, units_with(make), run) for make in (core, ours))
    plain = sample(model, [], run)
    assert relative_error(b, a) <= 1e-5
    assert relative_error(plain, a) > 1e-3, "the control must matter for parity to mean it"


@pytest.mark.parametrize(
    "run",
    [
        Run(),
        Run(batch=3),
        Run(scheduler="karras", sampler="dpmpp_2m"),
        Run(sampler="euler_ancestral", batch=2),
        Run(height=72, width=104),
        Run(cfg=1.0),
    ],
    ids=str,
)
def test_equal_to_core(model, run):
    assert_equal_to_core(model, lambda make: [Unit(make(1), hint())], run)


@pytest.mark.parametrize("settings", [{"strength": 0.35}, {"strength": 1.7}, {"end": 0.5}, {"start": 0.3}], ids=str)
@pytest.mark.parametrize("scheduler", ["normal", "karras"])
def test_strength_and_range_equal_core(model, settings, scheduler):
    assert_equal_to_core(model, lambda make: [Unit(make(1), hint(), **settings)], Run(steps=6, scheduler=scheduler))


def test_a_hint_for_each_picture_equals_core(model):
    assert_equal_to_core(model, lambda make: [Unit(make(1), hint(3))], Run(batch=3))


def test_two_chained_equal_core(model):
    units = lambda make: [Unit(make(1), hint(), 0.8), Unit(make(2), hint(seed=9), 1.3, end=0.6)]  # noqa: E731
    assert_equal_to_core(model, units, Run())


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_chains_with_core_in_any_order(model, order):
    def mixed(make):
        makers = (core, core) if make is core else (core, ours)
        return [Unit(makers[i](i), hint(seed=i), 0.9) for i in order]

    assert_equal_to_core(model, mixed, Run())


def test_areas_of_two_sizes_equal_core(model):
    def prompt():
        positive, negative = prompts()
        area = {"area": (5, 8, 0, 0), "strength": 1.0}
        return [*positive, [torch.flip(positive[0][0], (1,)), area]], negative

    a, b = (sample(model, [Unit(make(1), hint())], Run(), prompt()) for make in (core, ours))
    assert relative_error(b, a) <= 1e-5


@pytest.mark.parametrize("settings", [{"strength": 0.0}, {"start": 0.999, "end": 0.9995}], ids=str)
def test_a_control_that_never_acts_is_no_control(model, settings):
    control = ours(1)
    controlled = sample(model, [Unit(control, hint(), **settings)], Run())
    assert torch.equal(controlled, sample(model, [], Run()))
    assert control.runner.loaded.cache.counts.forwards == 0


def test_work_is_done_once(model):
    control = ours(1)
    counts = control.runner.loaded.cache.counts
    sample(model, [Unit(control, hint())], Run(steps=20))
    assert (counts.hint_embeddings, counts.context_projections, counts.forwards) == (1, 1, 20)
    sample(model, [Unit(control, hint(), end=0.5)], Run(steps=20))
    assert (counts.hint_embeddings, counts.context_projections, counts.forwards) == (2, 2, 30)


def test_nothing_is_kept_after_sampling(model):
    control = ours(1)
    sample(model, [Unit(control, hint())], Run())
    assert len(control.hints.prepared) == len(control.runner.loaded.cache.contexts) == 0


def test_a_cancelled_run_leaves_the_next_one_right(model):
    control = ours(1)
    units = [Unit(control, hint())]
    expected = sample(model, units, Run())

    with pytest.raises(Cancelled):
        sample(model, [Unit(control, hint(seed=8))], Run(), callback=cancel_at(1))
    assert torch.equal(sample(model, units, Run()), expected)
    assert len(control.hints.prepared) == 0


def test_another_family_is_refused_before_the_first_step(model):
    xl = control_from_tensors(dict(random_network(dimensions("SDXL mid", 64)).state_dict()))
    with pytest.raises(ValueError, match=r"ControlNet is for SDXL, but the MODEL is SD1\.5.*in place of 'ControlNet'"):
        sample(model, [Unit(xl, hint())], Run())
    assert xl.runner.loaded.cache.counts.forwards == 0


def test_a_hint_batch_that_does_not_fit_is_refused(model):
    with pytest.raises(ValueError, match="2 hint images for 3 latents"):
        sample(model, [Unit(ours(1), hint(2))], Run(batch=3))


def test_bad_units_are_refused():
    positive, negative = prompts()
    control = ours(1)
    bad = hint()
    bad[0, 0, 0, 0] = float("nan")
    for unit, says in [
        (Unit(control, hint(), start=0.6, end=0.4), "start_percent"),
        (Unit(control, bad), "NaN"),
        (Unit(control, hint()[:0]), "not a picture"),
    ]:
        with pytest.raises(ValueError, match=says):
            apply_unit(unit, positive, negative)


def test_alpha_hides_the_hint(model):
    rgba = torch.cat([hint(), torch.ones(1, 70, 90, 1)], dim=-1)
    rgba[:, :, 40:, 3] = 0
    black = hint()
    black[:, :, 40:] = 0
    control = ours(1)
    assert torch.equal(sample(model, [Unit(control, rgba)], Run()), sample(model, [Unit(control, black)], Run()))


def test_conditionings_are_not_changed():
    positive, negative = prompts()
    new_positive, new_negative = apply_unit(Unit(ours(1), hint()), positive, negative)
    assert positive[0][1] == negative[0][1] == {}
    assert new_positive[0][1]["control"] is new_negative[0][1]["control"], "one object, or the sampler runs two passes"


def test_deep_clone_is_independent():
    control = ours(1)
    twin = control.deepclone_multigpu(torch.device("cpu"))
    assert twin.runner.loaded.network is not control.runner.loaded.network
    assert twin.get_models() != control.get_models()


def test_memory_need_grows_with_the_hint():
    control = ours(1)
    small = control.copy().set_cond_hint(torch.zeros(1, 3, 64, 64))
    large = replace_hint(small, 128)
    assert large.inference_memory_requirements(torch.float32) == 4 * small.inference_memory_requirements(torch.float32)
    assert small.inference_memory_requirements(torch.float32) >= residual_bytes(control, 64)


def replace_hint(control, size):
    return control.copy().set_cond_hint(torch.zeros(1, 3, size, size))


def residual_bytes(control, size):
    """The residuals of cond and uncond, counted from a real request."""
    from zeroconv.controlnet.networks.controlnet import Inputs

    network, latent = control.runner.loaded.network, size // 8
    projected = network.project_context(torch.zeros(2, 77, 768))
    hint_embedding = network.embed_hint(torch.zeros(1, 3, size, size))
    result = network(Inputs(torch.zeros(2, 4, latent, latent), torch.zeros(2)), hint_embedding, projected)
    return sum(r.numel() * r.element_size() for r in (*result.output, *result.middle))


def test_a_chain_reads_the_device_once_a_step(model, monkeypatch):
    """Every read of a tensor's value would stop the CPU until a GPU has caught up."""
    control, reads = ours(1), []
    chain, _ = prompts()
    for seed in (1, 2, 3):
        chain, _ = apply_unit(Unit(control, hint(seed=seed)), chain, chain)
    outermost = chain[0][1]["control"]
    outermost.pre_run(model.model, model.model.model_sampling.percent_to_sigma)
    for name in ("tolist", "item", "__bool__", "__float__", "cpu", "numpy"):
        read = getattr(torch.Tensor, name)
        monkeypatch.setattr(
            torch.Tensor, name, lambda self, *a, read=read, name=name: (reads.append(name), read(self, *a))[1]
        )
    x = torch.randn(1, 4, 8, 8).repeat(2, 1, 1, 1)
    cond = {"c_crossattn": torch.randn(2, 77, 768)}
    for _ in range(2):
        reads.clear()
        outermost.get_control(x, torch.full((2,), 3.0), cond, 2, {"cond_or_uncond": [0, 1]})
    assert reads == ["tolist"]
