"""Ranges in timesteps run the steps that ComfyUI's own ControlNet runs, for every scheduler."""

import pytest
import torch
from support.comfy_host import import_host
from zeroconv.controlnet.strength.timeline import SamplingTimeline, Span

SCHEDULERS = ["normal", "simple", "ddim_uniform", "sgm_uniform", "karras", "exponential", "beta"]
RANGES = [(0, 0.2), (0, 0.5), (0, 0.8), (0.5, 1)]

ACTIVE = {
    "normal": (4, 10, 16, 10),
    "simple": (4, 10, 16, 10),
    "ddim_uniform": (4, 10, 16, 10),
    "sgm_uniform": (5, 11, 17, 10),
    "karras": (5, 9, 12, 11),
    "exponential": (4, 7, 10, 13),
    "beta": (6, 11, 15, 9),
}
"""How many of 20 steps act in each of the ranges, measured with ComfyUI 0.3.64's ControlNet."""


@pytest.fixture(scope="module")
def sampling():
    import_host()
    from comfy.model_sampling import EPS, ModelSamplingDiscrete

    class Sampling(ModelSamplingDiscrete, EPS):
        pass

    return Sampling()


def timeline(sampling, scheduler, steps=20):
    import comfy.samplers

    sigmas = comfy.samplers.calculate_sigmas(sampling, scheduler, steps)
    return SamplingTimeline(tuple(sigmas.tolist()), sampling.percent_to_sigma), sigmas


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_number_of_active_steps(sampling, scheduler):
    run, _ = timeline(sampling, scheduler)
    counts = [sum(run.inside(s, Span(*r)) for s in run.sigmas[:-1]) for r in RANGES]
    assert tuple(counts) == ACTIVE[scheduler]


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("steps", [1, 7, 20, 50])
def test_active_steps_are_those_of_the_host_rule(sampling, scheduler, steps):
    run, sigmas = timeline(sampling, scheduler, steps)
    for start, end in [*RANGES, (0.1, 0.9), (0.37, 0.61)]:
        high, low = sampling.percent_to_sigma(start), sampling.percent_to_sigma(end)
        # comfy.controlnet.ControlNet.get_control: off if t[0] > timestep_range[0] or t[0] < timestep_range[1]
        core = [not bool((t > high) | (t < low)) for t in sigmas[:-1]]
        assert [run.inside(s, Span(start, end)) for s in run.sigmas[:-1]] == core


@pytest.mark.parametrize("percent", [0.001, 0.2, 0.5, 0.813, 0.999])
def test_position_inverts_percent_to_sigma(sampling, percent):
    run, _ = timeline(sampling, "normal")
    sigma = torch.tensor(sampling.percent_to_sigma(percent)).item()
    assert run.position(sigma, "timesteps") == pytest.approx(percent, abs=2e-6)


def test_position_on_flow_models():
    import_host()
    from comfy.model_sampling import CONST, ModelSamplingFlux

    class Sampling(ModelSamplingFlux, CONST):
        pass

    sampling = Sampling()
    run = SamplingTimeline((1.0, 0.0), sampling.percent_to_sigma)
    assert run.position(sampling.percent_to_sigma(0.3), "timesteps") == pytest.approx(0.3, abs=2e-6)
