"""The parts of the demonstration model against their formulas and other implementations."""

import json
from itertools import pairwise

import pytest
import torch
from diffusers import DDPMScheduler
from torch import Tensor, nn
from zeroconv.comfy_client.server import comfyui_directory
from zeroconv.demo.autoencoder import build_decoder, build_encoder, encode
from zeroconv.demo.base import BaseModel, plain_attention
from zeroconv.demo.diffusion import add_noise, guided, noise_loss, sample, signal_shares
from zeroconv.demo.evaluate import held_out_scenes
from zeroconv.demo.fit import Fit, learning_rate
from zeroconv.demo.hints import object_mask as true_mask
from zeroconv.demo.measures import agreement, obedience, object_mask
from zeroconv.demo.render import render
from zeroconv.demo.text import TOKENS, ContextTable, tokenize
from zeroconv.demo.world import Scenes, captions, draw_scenes, is_held_out


def test_encoder_network_computes_the_formula() -> None:
    image = torch.rand(2, 3, 64, 40, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(build_encoder()(image), encode(image), atol=1e-5)


def test_untrained_decoder_enlarges_the_colours() -> None:
    torch.manual_seed(0)
    image = torch.tensor([0.6, 0.3, 0.4]).view(1, 3, 1, 1).expand(1, 3, 64, 64)
    middle = build_decoder()(encode(image))[..., 24:40, 24:40]
    assert torch.allclose(middle.mean((2, 3)), image[..., 0, 0], atol=0.12)


def test_schedule_is_that_of_stable_diffusion() -> None:
    reference = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    assert torch.allclose(signal_shares(), reference.alphas_cumprod, rtol=1e-4)
    latent, noise, times = torch.randn(3, 4, 2, 2), torch.randn(3, 4, 2, 2), torch.tensor([0, 500, 999])
    assert torch.allclose(add_noise(latent, noise, times), reference.add_noise(latent, noise, times), atol=1e-5)


def test_loss_is_the_error_of_the_velocity_where_it_is_not_limited() -> None:
    generator = torch.Generator().manual_seed(1)
    latent, noise, wrong = (torch.randn(4, 4, 2, 2, generator=generator) for _ in range(3))
    times = torch.tensor([10, 200, 400, 600])
    share = signal_shares()[times].view(-1, 1, 1, 1)
    x = add_noise(latent, noise, times)
    velocity = share.sqrt() * noise - (1 - share).sqrt() * latent
    implied = share.sqrt() * wrong - (1 - share).sqrt() * (x - (1 - share).sqrt() * wrong) / share.sqrt()
    assert noise_loss(wrong, noise, times, limit=1e9).item() == pytest.approx(
        (implied - velocity).square().mean().item(), rel=1e-4
    )


def test_sampler_with_the_exact_noise_finds_the_latent() -> None:
    target = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(2))

    def exact(x: Tensor, times: Tensor) -> Tensor:
        share = signal_shares()[times].view(-1, 1, 1, 1)
        return (x - share.sqrt() * target) / (1 - share).sqrt()

    assert torch.allclose(sample(exact, torch.randn(2, 4, 4, 4), steps=7), target, atol=1e-3)


def test_guidance_of_one_is_the_plain_prediction() -> None:
    def predict(x: Tensor, times: Tensor, numbers: Tensor) -> Tensor:
        return x * (1 + numbers.view(-1, 1, 1, 1))

    x, times = torch.randn(2, 4, 2, 2), torch.tensor([3, 3])
    numbers, empty = torch.tensor([1, 2]), torch.tensor([0])
    assert torch.allclose(guided(predict, numbers, empty, 1.0)(x, times), predict(x, times, numbers))
    assert torch.allclose(guided(predict, numbers, empty, 0.0)(x, times), x)


def test_attention_is_that_of_torch() -> None:
    q, k, v = torch.randn(2, 9, 32), torch.randn(2, 5, 32), torch.randn(2, 5, 32)
    heads = [tensor.unflatten(-1, (8, 4)).transpose(1, 2) for tensor in (q, k, v)]
    expected = nn.functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
    assert torch.allclose(plain_attention(q, k, v, 8, {}), expected, atol=1e-5)


def test_words_have_the_numbers_of_clip() -> None:
    vocabulary = json.loads(
        (comfyui_directory() / "comfy" / "sd1_tokenizer" / "vocab.json").read_text(encoding="utf-8")
    )
    assert {word: vocabulary[f"{word}</w>"] for word in TOKENS} == TOKENS
    assert all(tokenize(name) for name in captions(draw_scenes(300, 0)))
    with pytest.raises(ValueError, match="elephant"):
        tokenize("a red elephant on a white floor")


def test_projecting_the_table_is_projecting_the_contexts() -> None:
    table = ContextTable(["a red ball on a white floor", "a blue cone and a red cube on a grey floor", ""])
    model = BaseModel()
    from_rows = [(keys[table.index], values[table.index]) for keys, values in model.project_context(table.rows)]
    for (keys, values), (wanted_keys, wanted_values) in zip(
        from_rows, model.project_context(table.rows[table.index]), strict=True
    ):
        assert torch.allclose(keys, wanted_keys, atol=1e-5)
        assert torch.allclose(values, wanted_values, atol=1e-5)


def test_measures_see_what_was_rendered_and_only_that() -> None:
    scenes = held_out_scenes(24)
    assert all(map(is_held_out, captions(scenes)))
    rendering = render(scenes)
    seen = obedience(rendering.image, scenes)
    assert seen.floor > 0.95
    assert seen.colour > 0.95
    wrong = Scenes(**{**vars(scenes), "colour": (scenes.colour + 3) % 6, "floor": (scenes.floor + 2) % 4})
    unlike = obedience(rendering.image, wrong)
    assert unlike.floor < 0.1
    assert unlike.colour < 0.1
    assert agreement(object_mask(rendering.image), true_mask(rendering)).mean() > 0.9


def _fit(path, total: int) -> Fit:
    torch.manual_seed(7)
    layer = nn.Linear(3, 2)

    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        return layer(torch.randn(4, 3)).square().mean(), {}

    return Fit({"layer": layer}, path, total, 1e-2, loss)


def test_a_resumed_training_ends_where_an_uninterrupted_one_does(tmp_path) -> None:
    whole = _fit(tmp_path / "whole.pt", 20)
    whole.run()
    stopped = _fit(tmp_path / "parts.pt", 20)
    for _ in range(9):
        stopped.advance()
    stopped.save()
    resumed = _fit(tmp_path / "parts.pt", 20)
    assert resumed.step == 9
    resumed.run()
    assert torch.equal(resumed.modules["layer"].weight, whole.modules["layer"].weight)
    assert torch.equal(resumed.averaged["layer"]["weight"], whole.averaged["layer"]["weight"])


def test_the_learning_rate_rises_then_falls() -> None:
    rates = [learning_rate(step, 1000, 1.0, warmup=100) for step in range(1001)]
    assert rates[99] == pytest.approx(1.0)
    assert all(a < b for a, b in pairwise(rates[:100]))
    assert all(a >= b for a, b in pairwise(rates[100:]))
    assert rates[-1] == pytest.approx(0.02)


def test_a_diverged_loss_stops_before_it_does_harm(tmp_path) -> None:
    fit = _fit(tmp_path / "state.pt", 5)
    before = fit.modules["layer"].weight.detach().clone()
    fit.loss = lambda step: (fit.modules["layer"].weight.sum() * float("nan"), {})
    with pytest.raises(FloatingPointError, match="step 0"):
        fit.run()
    assert torch.equal(fit.modules["layer"].weight, before)
