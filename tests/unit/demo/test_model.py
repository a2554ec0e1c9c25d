"""The parts of the demonstration model against their formulas and other implementations."""

import json
from itertools import pairwise

import pytest
import torch
from diffusers import DDPMScheduler
from torch import Tensor, nn
from zeroconv.comfy_client.server import comfyui_directory
from zeroconv.demo.learning.evaluate import held_out_scenes
from zeroconv.demo.learning.fit import Fit, learning_rate
from zeroconv.demo.learning.latents import Latents
from zeroconv.demo.model.autoencoder import build_decoder, build_encoder, encode
from zeroconv.demo.model.narrow_model import noise_schedule
from zeroconv.demo.model.text import TOKENS, ContextTable, tokenize
from zeroconv.demo.model.unet import BaseModel, plain_attention
from zeroconv.demo.scenes.hints import object_mask as true_mask
from zeroconv.demo.scenes.measures import agreement, obedience, object_mask
from zeroconv.demo.scenes.render import render
from zeroconv.demo.scenes.world import Scenes, captions, draw_scenes, is_held_out
from zeroconv.demo.train import Options, _base_fit


def test_encoder_network_computes_the_formula() -> None:
    image = torch.rand(2, 3, 64, 40, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(build_encoder()(image), encode(image), atol=1e-5)


def test_untrained_decoder_enlarges_the_colors() -> None:
    torch.manual_seed(0)
    image = torch.tensor([0.6, 0.3, 0.4]).view(1, 3, 1, 1).expand(1, 3, 64, 64)
    middle = build_decoder()(encode(image))[..., 24:40, 24:40]
    assert torch.allclose(middle.mean((2, 3)), image[..., 0, 0], atol=0.12)


def test_schedule_is_that_of_stable_diffusion() -> None:
    reference = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    latent, noise, times = torch.randn(1000, 4, 2, 2), torch.randn(1000, 4, 2, 2), torch.arange(1000)
    noisy = noise_schedule().add_noise(latent, noise, times)
    assert torch.allclose(noisy, reference.add_noise(latent, noise, times), atol=1e-4)


def test_attention_is_that_of_torch() -> None:
    q, k, v = torch.randn(2, 9, 32), torch.randn(2, 5, 32), torch.randn(2, 5, 32)
    heads = [tensor.unflatten(-1, (8, 4)).transpose(1, 2) for tensor in (q, k, v)]
    expected = nn.functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
    assert torch.allclose(plain_attention(q, k, v, 8), expected, atol=1e-5)


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
    assert seen.color > 0.95
    wrong = Scenes(**{**vars(scenes), "color": (scenes.color + 3) % 6, "floor": (scenes.floor + 2) % 4})
    unlike = obedience(rendering.image, wrong)
    assert unlike.floor < 0.1
    assert unlike.color < 0.1
    assert agreement(object_mask(rendering.image), true_mask(rendering)).mean() > 0.9


def _fit(path, total: int) -> Fit:
    torch.manual_seed(7)
    layer = nn.Linear(3, 2)

    def loss(step: int) -> Tensor:
        return layer(torch.randn(4, 3)).square().mean()

    return Fit(layer, path, total, 1e-2, loss)


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
    assert torch.equal(resumed.module.weight, whole.module.weight)
    assert torch.equal(resumed.average.weights["weight"], whole.average.weights["weight"])
    assert not torch.equal(whole.average.weights["weight"], whole.module.weight)


def test_the_learning_rate_rises_then_falls() -> None:
    rates = [learning_rate(step, 1000, 1.0, warmup=100) for step in range(1001)]
    assert rates[99] == pytest.approx(1.0)
    assert all(a < b for a, b in pairwise(rates[:100]))
    assert all(a >= b for a, b in pairwise(rates[100:]))
    assert rates[-1] == pytest.approx(0.02)


def test_a_diverged_loss_stops_before_it_does_harm(tmp_path) -> None:
    fit = _fit(tmp_path / "state.pt", 5)
    before = fit.module.weight.detach().clone()
    fit.loss = lambda step: fit.module.weight.sum() * float("nan")
    with pytest.raises(FloatingPointError, match="step 0"):
        fit.run()
    assert torch.equal(fit.module.weight, before)


def test_a_step_of_the_base_model_lowers_its_loss(tmp_path) -> None:
    names = ["", "a red ball on a white floor"]
    latent = torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(3)).half()
    data = Latents(latent, torch.tensor([1, 1, 1, 1]), names, ContextTable(names))
    fit = _base_fit(data, Options(batch=2), tmp_path / "base.pt", steps=4)
    before = fit.loss(0).item()
    fit.advance()
    assert 0 < fit.loss(0).item() < before
