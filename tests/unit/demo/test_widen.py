"""The widened networks compute what the narrow ones do, in ComfyUI's own code and in ours."""

from collections.abc import Mapping

import pytest
import torch
from support.comfy_host import import_host
from support.measures import relative_error
from torch import Tensor, nn
from zeroconv.controlnet.networks.build import build_controlnet
from zeroconv.controlnet.networks.controlnet import Inputs
from zeroconv.demo.checkpoint import checkpoint, text_encoder
from zeroconv.demo.learning.evaluate import GUIDANCE, sample_latents
from zeroconv.demo.model.autoencoder import build_decoder, build_encoder, encode
from zeroconv.demo.model.narrow_model import noise_schedule
from zeroconv.demo.model.text import ContextTable
from zeroconv.demo.model.unet import BaseModel
from zeroconv.demo.model.widen import widen_autoencoder, widen_controlnet, widen_unet
from zeroconv.demo.scenes.world import captions, draw_scenes
from zeroconv.training.copy import trainable_copy

CAPTION = "a red ball and a blue cube on a white floor"


@torch.no_grad()
def randomised(module: nn.Module, seed: int) -> nn.Module:
    """Every weight random, biases and norms too, so that no mistake hides behind a zero or a one."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        scale = 0.3 if parameter.dim() == 1 else parameter[0].numel() ** -0.5
        parameter.add_(torch.randn(parameter.shape, generator=generator) * scale)
    return module.eval().requires_grad_(False)


def host_unet(state: Mapping[str, Tensor]) -> nn.Module:
    """ComfyUI's UNet for a state dict, found by its own detection."""
    import_host()
    from comfy import model_detection
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
    from comfy.supported_models import SD15

    config = model_detection.model_config_from_unet(dict(state), "")
    assert isinstance(config, SD15)
    unet = UNetModel(**config.unet_config, device="cpu")
    unet.load_state_dict(dict(state), strict=True)
    return unet.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def narrow() -> BaseModel:
    torch.manual_seed(0)
    return randomised(BaseModel(), 1)


def test_widened_unet_in_the_host_predicts_the_same(narrow: BaseModel) -> None:
    table = ContextTable([CAPTION, ""])
    context = table.rows[table.index]
    x, times = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(2)), torch.tensor([17, 801])
    expected = narrow(x, times, narrow.project_context(context))
    wide = host_unet(widen_unet(narrow.state_dict()))
    assert relative_error(wide(x, times, context=context), expected) < 1e-4


def test_widened_controlnet_gives_the_same_residuals_replicated(narrow: BaseModel) -> None:
    control = randomised(trainable_copy(narrow.state_dict(), hint_widths=(8, 8, 16, 16, 32, 32, 64)), 3)
    wide = build_controlnet(widen_controlnet(control.state_dict()))
    generator = torch.Generator().manual_seed(4)
    x, hint = torch.randn(1, 4, 8, 8, generator=generator), torch.rand(1, 3, 64, 64, generator=generator)
    table = ContextTable([CAPTION])
    context = table.rows[table.index]
    inputs = Inputs(x, torch.tensor([500]))
    expected = control(inputs, control.embed_hint(hint), control.project_context(context))
    actual = wide(inputs, wide.embed_hint(hint), wide.project_context(context))
    pairs = zip(
        [*actual.middle, *[r for r in actual.output if r is not None]],
        [*expected.middle, *[r for r in expected.output if r is not None]],
        strict=True,
    )
    for given, wanted in pairs:
        assert relative_error(given, wanted.repeat_interleave(5, 1)) < 1e-4


def test_widened_autoencoder_in_the_host_is_the_same() -> None:
    import_host()
    from comfy.taesd.taesd import TAESD

    torch.manual_seed(0)
    decoder = randomised(build_decoder(), 5)
    host = TAESD()
    missing, unknown = host.load_state_dict(
        widen_autoencoder(build_encoder().state_dict(), decoder.state_dict()), strict=False
    )
    assert set(missing) == {"vae_scale", "vae_shift"}
    assert not unknown
    image = torch.rand(1, 3, 64, 48, generator=torch.Generator().manual_seed(6))
    latent = host.encode(image * 2 - 1)
    assert torch.allclose(latent, encode(image), atol=1e-4)
    assert relative_error(host.decode(latent), decoder(latent) * 2 - 1) < 1e-4


def test_text_encoder_of_the_checkpoint_says_what_training_computed() -> None:
    import_host()
    import comfy.ops
    from comfy.clip_model import CLIPTextModel
    from comfy.sd1_clip import SDTokenizer

    config = {"num_hidden_layers": 12, "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
    config |= {"hidden_act": "quick_gelu", "max_position_embeddings": 77, "eos_token_id": 49407}
    model = CLIPTextModel(config, torch.float32, "cpu", comfy.ops.manual_cast)
    state = {f"text_model.{key}": value.float() for key, value in text_encoder().items()}
    assert not model.load_state_dict(state, strict=False).unexpected_keys
    names = [CAPTION, *sorted(set(captions(draw_scenes(8, 0)))), ""]
    tokens = [[pair[0] for pair in SDTokenizer().tokenize_with_weights(name)[0]] for name in names]
    table = ContextTable(names)
    with torch.no_grad():
        encoded = model(torch.tensor(tokens))[0]
    assert torch.allclose(encoded, table.rows[table.index], atol=2e-4)


@pytest.fixture(scope="module")
def loaded(narrow: BaseModel):
    """MODEL, CLIP and VAE that ComfyUI makes of the checkpoint."""
    import_host()
    import comfy.sd

    state = checkpoint(narrow.state_dict(), build_decoder().state_dict())
    return comfy.sd.load_state_dict_guess_config(state, output_vae=True, output_clip=True)


def test_checkpoint_is_recognised_whole(loaded) -> None:
    model, clip, vae, _ = loaded
    assert type(model.model.model_config).__name__ == "SD15"
    image = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(7))
    assert torch.allclose(vae.encode(image) * 0.18215, encode(image.movedim(-1, 1)), atol=5e-3)
    table = ContextTable([CAPTION])
    assert torch.allclose(clip.encode_from_tokens(clip.tokenize(CAPTION)), table.rows[table.index], atol=5e-3)


def test_host_samples_the_latent_that_the_narrow_model_does(narrow: BaseModel, loaded) -> None:
    import comfy.sample
    import comfy.samplers

    model, clip, _, _ = loaded
    half = BaseModel()
    half.load_state_dict({key: value.half().float() for key, value in narrow.state_dict().items()})
    expected = sample_latents(half.eval(), [CAPTION], 8, seed=11, steps=4)
    times = torch.linspace(999, 0, 5).round().long()
    signal, spread = noise_schedule().levels(times)
    sigmas = torch.cat([(spread / signal).flatten(), torch.zeros(1)])
    positive, negative = ([[clip.encode_from_tokens(clip.tokenize(text)), {}]] for text in (CAPTION, ""))
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(11))
    actual = comfy.sample.sample_custom(
        model,
        noise,
        GUIDANCE,
        comfy.samplers.sampler_object("euler"),
        sigmas,
        positive,
        negative,
        torch.zeros_like(noise),
    )
    assert relative_error(actual * 0.18215, expected) < 0.02, "half precision of the checkpoint is the only difference"
