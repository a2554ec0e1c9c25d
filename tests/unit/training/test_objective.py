"""The loss against formulas written out, and draws that depend on the sample's number alone."""

import pytest
import torch
from zeroconv.training.base import NoiseSchedule, Prompt
from zeroconv.training.objective import Draws, Objective, denoising_loss, draw, loss_weights
from zeroconv.training.pairs.order import Order

SHARES = torch.tensor([0.99, 0.7, 0.2, 0.01])
TIMES = torch.arange(4)


def tensors(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(4, 4, 3, 3, generator=generator) for _ in range(3))


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_schedule_is_that_of_diffusers(kind: str) -> None:
    from diffusers import DDPMScheduler

    reference = DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, prediction_type=kind)
    schedule = NoiseSchedule(reference.alphas_cumprod, "eps" if kind == "epsilon" else "v")
    latents, noise, prediction = tensors(0)
    times = torch.tensor([0, 300, 700, 999])
    x = schedule.add_noise(latents, noise, times)
    torch.testing.assert_close(x, reference.add_noise(latents, noise, times))
    target = noise if kind == "epsilon" else reference.get_velocity(latents, noise, times)
    torch.testing.assert_close(schedule.target(latents, noise, times), target)
    for row, time in enumerate(times.tolist()):
        clean, _ = schedule.estimate(x, prediction, times)
        ours = clean[row]
        reference.config.clip_sample = False
        theirs = reference.step(prediction[row], time, x[row], generator=torch.Generator()).pred_original_sample
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_a_true_prediction_gives_back_picture_and_noise(prediction: str) -> None:
    schedule = NoiseSchedule(SHARES, prediction)
    latents, noise, _ = tensors(0)
    x = schedule.add_noise(latents, noise, TIMES)
    clean, estimated = schedule.estimate(x, schedule.target(latents, noise, TIMES), TIMES)
    torch.testing.assert_close(clean, latents, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(estimated, noise, rtol=1e-4, atol=1e-4)


def test_plain_loss_is_the_mean_squared_error() -> None:
    latents, noise, prediction = tensors(1)
    draws = Draws(TIMES, noise, torch.zeros(4, dtype=torch.bool), torch.zeros(4, dtype=torch.bool))
    loss = denoising_loss(Objective(), NoiseSchedule(SHARES), prediction, latents, draws)
    torch.testing.assert_close(loss, torch.nn.functional.mse_loss(prediction, noise))


@pytest.mark.parametrize("prediction", ["eps", "v"])
def test_min_snr_is_the_papers_formula(prediction: str) -> None:
    snr = SHARES / (1 - SHARES)
    clipped = snr.clamp(max=5.0)
    expected = clipped / snr if prediction == "eps" else clipped / (snr + 1)
    weights = loss_weights(Objective(weighting="min_snr", snr_gamma=5.0), NoiseSchedule(SHARES, prediction), TIMES)
    torch.testing.assert_close(weights, expected)


def test_min_snr_survives_zero_terminal_snr() -> None:
    schedule = NoiseSchedule(torch.tensor([0.5, 0.0]), "v")
    weights = loss_weights(Objective(weighting="min_snr"), schedule, torch.arange(2))
    torch.testing.assert_close(weights, torch.tensor([0.5, 0.0]))


def test_velocity_weighting_is_the_error_of_the_velocity() -> None:
    latents, noise, prediction = tensors(2)
    draws = Draws(TIMES, noise, torch.zeros(4, dtype=torch.bool), torch.zeros(4, dtype=torch.bool))
    weighted = Objective(weighting="velocity", snr_gamma=1e6)
    loss = denoising_loss(weighted, NoiseSchedule(SHARES, "eps"), prediction, latents, draws)
    x = NoiseSchedule(SHARES).add_noise(latents, noise, TIMES)
    clean = (x - (1 - SHARES).sqrt().view(-1, 1, 1, 1) * prediction) / SHARES.sqrt().view(-1, 1, 1, 1)
    velocity = NoiseSchedule(SHARES, "v").target(clean, prediction, TIMES)
    expected = (velocity - NoiseSchedule(SHARES, "v").target(latents, noise, TIMES)).square().mean()
    torch.testing.assert_close(loss, expected, rtol=1e-3, atol=1e-4)


def test_a_samples_draw_depends_on_its_number_alone() -> None:
    objective = Objective(noise_offset=0.1)
    together = draw(objective, 3, [5, 6, 7], (4, 2, 2), 1000)
    alone = draw(objective, 3, [6], (4, 2, 2), 1000)
    assert torch.equal(together.noise[1], alone.noise[0])
    assert together.timesteps[1] == alone.timesteps[0]
    assert not torch.equal(draw(objective, 4, [6], (4, 2, 2), 1000).noise, alone.noise)


def test_shares_of_empty_prompts_and_blank_hints() -> None:
    draws = draw(Objective(prompt_dropout=0.5, hint_dropout=0.1), 0, range(2000), (1, 1, 1), 1000)
    assert 0.46 < draws.empty.float().mean() < 0.54
    assert 0.08 < draws.blank.float().mean() < 0.12
    assert 450 < draws.timesteps.float().mean() < 550
    assert abs(draws.noise.std() - 1) < 0.05
    none = draw(Objective(prompt_dropout=0.0), 0, range(50), (1, 1, 1), 1000)
    assert not none.empty.any()
    assert not none.blank.any()


def test_noise_offset_moves_whole_channels() -> None:
    plain = draw(Objective(), 0, range(300), (4, 8, 8), 10).noise.mean((2, 3)).var()
    moved = draw(Objective(noise_offset=0.5), 0, range(300), (4, 8, 8), 10).noise.mean((2, 3)).var()
    assert abs(plain - 1 / 64) < 0.005
    assert abs(moved - plain - 0.25) < 0.04


def test_prompts_of_different_length_are_mixed_without_changing_their_attention() -> None:
    attention = torch.nn.functional.scaled_dot_product_attention
    query = torch.randn(2, 5, 8)
    short, long = Prompt(torch.randn(2, 2, 8)), Prompt(torch.randn(2, 3, 8))
    mixed = short.replace(torch.tensor([True, False]), long).context
    torch.testing.assert_close(
        attention(query[:1], mixed[:1], mixed[:1]), attention(query[:1], long.context[:1], long.context[:1])
    )
    torch.testing.assert_close(
        attention(query[1:], mixed[1:], mixed[1:]), attention(query[1:], short.context[1:], short.context[1:])
    )


def test_an_epoch_shows_every_sample_and_never_mixes_sizes() -> None:
    sizes = ["a"] * 7 + ["b"] * 4
    order = Order(sizes, group=3, seed=0)
    assert order.groups_per_epoch == 3 + 2
    epochs = [[order.group(epoch * 5 + i) for i in range(5)] for epoch in range(2)]
    for epoch in epochs:
        assert {index for group in epoch for index in group} == set(range(11))
        assert all(len({sizes[index] for index in group}) == 1 and len(group) == 3 for group in epoch)
    assert epochs[0] != epochs[1]
    assert order.group(2) == epochs[0][2], "an earlier epoch is made again as it was"


@pytest.mark.parametrize(("field", "value"), [("prompt_dropout", 1.5), ("snr_gamma", 0.0), ("weighting", "other")])
def test_wrong_settings_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        Objective(**{field: value})
