"""Training inside ComfyUI: the base model as the host computes it, and the node on a real server."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from safetensors import safe_open
from safetensors.torch import load_file
from support.comfy_host import import_host, small_model
from support.random_nodes import random_image, random_prompts
from zeroconv.comfy_client.server import ComfyServer, Interrupted, PromptError
from zeroconv.comfy_client.workflow import ControlNet, Image, Output, Sampling, Workflow

SIDE = 64


def text_encoder_and_vae(encoder: torch.nn.Module | None = None) -> tuple[SimpleNamespace, SimpleNamespace]:
    """As much of a CLIP and a VAE as the base model looks at."""
    from comfy.model_patcher import ModelPatcher

    cpu = torch.device("cpu")
    encoder, vae = encoder or torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    for module in (encoder, vae):
        for parameter in module.parameters():
            torch.nn.init.constant_(parameter, 0.5)
    return SimpleNamespace(patcher=ModelPatcher(encoder, cpu, cpu)), SimpleNamespace(
        patcher=ModelPatcher(vae, cpu, cpu)
    )


@pytest.fixture(scope="module")
def base():
    import_host()
    from zeroconv.host.training.base_model import ComfyBase

    with torch.inference_mode():
        model = small_model()  # as ComfyUI's loaders do: weights that autograd refuses
    made = ComfyBase(model, *text_encoder_and_vae(), checkpointing=True)
    made.prepare("train")
    return model, made


def scene():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 4, 16, 16, generator=generator)
    context = torch.randn(2, 7, 768, generator=generator)
    return x, torch.tensor([20, 800]), context, generator


def random_residuals(generator: torch.Generator) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
    shapes = [(64, 16)] * 3 + [(64, 8)] + [(128, 8)] * 2 + [(128, 4)] + [(256, 4)] * 2 + [(256, 2)] * 3
    skips = tuple(torch.randn(2, c, s, s, generator=generator).requires_grad_() for c, s in shapes)
    return skips, torch.randn(2, 256, 2, 2, generator=generator).requires_grad_()


def test_prediction_is_that_of_the_hosts_unet_with_residuals(base) -> None:
    from zeroconv.controlnet.residuals import Residuals
    from zeroconv.training.base import Prompt

    model, ours = base
    x, times, context, generator = scene()
    unet = model.model.diffusion_model
    skips, middle = random_residuals(generator)
    with torch.no_grad():
        # the host pops residuals from the end, and adds in place
        control = {"output": [t.clone() for t in skips], "middle": [middle.clone()]}
        expected = unet(x, times.float(), context, control=control)
        plain = unet(x, times.float(), context)
    prediction = ours.predict(x, times, Prompt(context), Residuals(skips, (middle,)))
    torch.testing.assert_close(prediction, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.predict(x, times, Prompt(context), None), plain, rtol=1e-4, atol=1e-4)
    assert (expected - plain).abs().max() > 1e-2
    prediction.square().mean().backward()
    assert all(torch.count_nonzero(t.grad) for t in (*skips, middle))
    assert not any(p.requires_grad for p in ours._unet.parameters())


def test_schedule_is_that_of_the_hosts_sampling(base) -> None:
    model, ours = base
    sampling = model.model.model_sampling
    times = torch.tensor([0, 400, 999])
    latents, noise = torch.randn(2, 3, 4, 2, 2).unbind(0)
    sigmas = sampling.sigma(times).view(-1, 1, 1, 1)
    expected = sampling.calculate_input(sigmas.flatten(), latents + sigmas * noise)
    torch.testing.assert_close(ours.schedule.add_noise(latents, noise, times), expected, rtol=1e-4, atol=1e-4)
    assert ours.schedule.prediction == "eps"


def test_trainable_copy_of_the_hosts_unet_is_a_controlnet_of_its_family(base) -> None:
    from zeroconv.training.copy import trainable_copy

    model, ours = base
    control = trainable_copy(ours.unet_weights())
    assert ours.family == control.dims.family == "SD1.5"
    assert torch.equal(
        control.middle_block[0].in_layers[2].weight, model.model.diffusion_model.middle_block[0].in_layers[2].weight
    )


def test_the_fingerprint_leaves_out_what_checkpoints_do_not_set(base) -> None:
    """The host makes the text projection from whatever the memory holds, anew at each start."""
    from zeroconv.host.training.base_model import ComfyBase

    model, _ = base

    def fingerprint(projection: float, layer: float) -> str:
        encoder = torch.nn.ModuleDict({name: torch.nn.Linear(2, 2) for name in ("text_projection", "layer")})
        parts = text_encoder_and_vae(encoder)
        torch.nn.init.constant_(encoder["text_projection"].weight, projection)
        torch.nn.init.constant_(encoder["layer"].weight, layer)
        return ComfyBase(model, *parts).fingerprint

    assert fingerprint(1.0, 1.0) == fingerprint(float("nan"), 1.0)
    assert fingerprint(1.0, 1.0) != fingerprint(1.0, 2.0)


LAYER = "diffusion_model.middle_block.0.in_layers.2.weight"


def with_lora(model):
    """The MODEL with a LoRA on one convolution of the middle block, and the weight that it then computes with."""
    patched = model.clone()
    original = model.model.state_dict()[LAYER].clone()
    generator = torch.Generator().manual_seed(5)
    change = torch.randn(original.shape, generator=generator) * original.std()
    patched.add_patches({LAYER: ("diff", (change,))}, 0.7)
    return patched, original + 0.7 * change


@pytest.mark.parametrize("loaded", [False, True])
def test_a_trainable_copy_has_the_models_loras_whether_they_are_applied_at_the_moment_or_not(loaded: bool) -> None:
    """The copy must start as what the MODEL computes with; the host patches its weights only while it is loaded."""
    import_host()
    from comfy.model_management import load_models_gpu, unload_all_models
    from zeroconv.host.training.base_model import ComfyBase
    from zeroconv.training.copy import trainable_copy

    model = small_model()
    patched, expected = with_lora(model)
    if loaded:
        load_models_gpu([patched])
    try:
        bases = [ComfyBase(each, *text_encoder_and_vae()) for each in (patched, model)]
        copies = [trainable_copy(each.unet_weights()).middle_block[0].in_layers[2].weight for each in bases]
    finally:
        unload_all_models()
    torch.testing.assert_close(copies[0].detach(), expected)
    assert (copies[1] - expected).abs().max() > 0.01
    assert bases[0].fingerprint != bases[1].fingerprint


def test_a_fingerprint_is_the_same_before_and_after_the_loras_are_applied() -> None:
    """Else a training could not be continued, and its cache would be made again."""
    import_host()
    from comfy.model_management import load_models_gpu, unload_all_models
    from zeroconv.host.training.base_model import ComfyBase

    patched, _ = with_lora(small_model())
    parts = text_encoder_and_vae()
    before = ComfyBase(patched, *parts).fingerprint
    load_models_gpu([patched])
    try:
        assert ComfyBase(patched, *parts).fingerprint == before
        parts[0].layer_idx = -2
        assert ComfyBase(patched, *parts).fingerprint != before, "prompts are encoded otherwise with a CLIP skip"
    finally:
        unload_all_models()


def test_schedule_is_that_of_the_model_and_not_of_its_checkpoint() -> None:
    """ComfyUI's ModelSamplingDiscrete replaces the sampling of a MODEL, such as by that of velocity prediction."""
    import_host()
    import comfy.model_sampling
    from zeroconv.host.training.base_model import ComfyBase

    class Velocity(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.V_PREDICTION):
        pass

    model = small_model()
    other = model.clone()
    other.add_object_patch("model_sampling", Velocity(model.model.model_config))
    assert ComfyBase(other, *text_encoder_and_vae()).schedule.prediction == "v"
    assert ComfyBase(model, *text_encoder_and_vae()).schedule.prediction == "eps"


def write_dataset(folder: Path, count: int = 3) -> None:
    """Same-name layout; one picture has no hint."""
    (folder / "images").mkdir(parents=True)
    (folder / "conditioning_data").mkdir()
    generator = np.random.default_rng(0)
    for index in range(count):
        pixels = generator.integers(0, 255, (SIDE, SIDE, 3), np.uint8)
        Picture.fromarray(pixels).save(folder / "images" / f"{index}.png")
        (folder / "images" / f"{index}.txt").write_text(f"picture {index}")
        if index:
            Picture.fromarray(255 - pixels).save(folder / "conditioning_data" / f"{index}.png")


def training(name: str, steps: int, folder: str = "pairs", **widgets) -> tuple[Workflow, str]:
    flow = Workflow()
    model, clip, vae = flow.load_checkpoint("sd15.safetensors")
    pairs = flow.add("ZeroConvTrainingFolder", folder=folder, resolution=SIDE, flip=False, hints="of the dataset")
    values = {
        "batch": 1,
        "gradient_accumulation_steps": 1,
        "learning_rate": 1e-4,
        "precision": "float32",
        "gradient_checkpointing": True,
        "optimizer": "adamw",
        "prompt_dropout": 0.5,
        "save_every": 0,
        "sample_every": 0,
        "seed": 0,
        "resume": True,
        "start": "none: a new one",
        "license": "CC0-1.0",
        **widgets,
    }
    wired = {"model": model, "clip": clip, "vae": vae, "dataset": Output(pairs, 0)}
    node = flow.add("ZeroConvTrain", **wired, name=name, steps=steps, **values)
    flow.save_image(Image(node, 1))
    return flow, node


@pytest.fixture(scope="module")
def pairs(server: ComfyServer) -> ComfyServer:
    folder = server.base / "input" / "pairs"
    if not folder.exists():
        write_dataset(folder)
    return server


def test_the_node_trains_and_the_file_works_in_both_loaders(pairs: ComfyServer) -> None:
    flow, node = training("trained", steps=2)
    prompts = random_prompts(flow, 768)
    hint = random_image(flow, SIDE, SIDE)
    latent = flow.empty_latent(SIDE, SIDE)
    model = flow.load_checkpoint("sd15.safetensors").model
    ours = flow.apply(prompts, ControlNet(node, 0), hint)
    saved = flow.save_latent(flow.sample(model, ours, latent, Sampling(steps=2)))
    by_ours = pairs.queue(flow.to_api(), timeout=400).files(saved)[0]
    path = pairs.base / "models" / "controlnet" / "trained.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert metadata["zeroconv.base_family"] == "SD1.5"
    assert (metadata["zeroconv.steps"], metadata["zeroconv.pairs"]) == ("2", "2")
    assert metadata["modelspec.license"] == "CC0-1.0"
    weights = load_file(path)
    assert torch.count_nonzero(weights["middle_block_out.0.weight"]) > 0
    folder = pairs.base / "output" / "zeroconv_training" / "trained"
    names = {p.name for p in folder.iterdir()}
    assert names >= {"state.pt", "curves.png", "samples_000002.png"}
    assert "samples_000000.png" not in names, "sampled only at the end"
    assert Picture.open(folder / "samples_000002.png").size == (3 * SIDE, 2 * SIDE)
    again = Workflow()
    prompts, hint, latent = random_prompts(again, 768), random_image(again, SIDE, SIDE), again.empty_latent(SIDE, SIDE)
    model = again.load_checkpoint("sd15.safetensors").model
    core = again.apply_core(prompts, again.load_control_core("trained.safetensors"), hint)
    saved = again.save_latent(again.sample(model, core, latent, Sampling(steps=2)))
    by_core = pairs.queue(again.to_api()).files(saved)[0]
    ours, core = (load_file(path)["latent_tensor"] for path in (by_ours, by_core))
    torch.testing.assert_close(ours, core, rtol=1e-3, atol=1e-3)


def test_cancel_saves_and_a_second_run_goes_on(pairs: ComfyServer) -> None:
    flow, _ = training("cancelled", steps=100000, save_every=1)
    run = pairs.submit(flow.to_api())
    start = pairs.base / "output" / "zeroconv_training" / "cancelled"

    def has_two_steps() -> bool:
        state = start / "state.pt"
        return state.exists() and torch.load(state, weights_only=True)["step"] >= 2

    pairs.wait_until(has_two_steps, "two steps of the training", timeout=500)
    pairs.interrupt()
    with pytest.raises(Interrupted):
        pairs.result(run)
    step = torch.load(start / "state.pt", weights_only=True)["step"]
    assert step >= 2
    flow, _ = training("cancelled", steps=step + 1)
    pairs.queue(flow.to_api())
    assert torch.load(start / "state.pt", weights_only=True)["step"] == step + 1


def test_mistakes_are_told_before_the_training(pairs: ComfyServer) -> None:
    with pytest.raises(PromptError, match="not a good name"):
        pairs.queue(training("../outside", steps=1)[0].to_api())
    (pairs.base / "models" / "controlnet" / "taken.safetensors").write_bytes(b"x")
    with pytest.raises(PromptError, match="exists already"):
        pairs.queue(training("taken", steps=1, resume=False)[0].to_api())
