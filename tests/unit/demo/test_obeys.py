"""The shipped weights do what a caption says that they were not trained on."""

import pytest
from safetensors.torch import load_file
from zeroconv.controlnet.networks.build import build_controlnet
from zeroconv.demo.checkpoint import BASE_NAME, DECODER_NAME, WEIGHTS, control_weights, write_models
from zeroconv.demo.learning.evaluate import Control, held_out_scenes, sample_latents
from zeroconv.demo.model.autoencoder import encode
from zeroconv.demo.model.narrow_model import load_model
from zeroconv.demo.model.pack import unpack
from zeroconv.demo.scenes.hints import HINTS
from zeroconv.demo.scenes.hints import object_mask as true_mask
from zeroconv.demo.scenes.measures import agreement, obedience, object_mask
from zeroconv.demo.scenes.render import render
from zeroconv.demo.scenes.world import captions

LIMIT = 24_000_000


def test_weights_are_small_enough_to_ship() -> None:
    assert 0 < sum(file.stat().st_size for file in WEIGHTS.iterdir()) <= LIMIT


def test_colors_follow_held_out_captions() -> None:
    model, scenes = load_model(WEIGHTS / BASE_NAME, WEIGHTS / DECODER_NAME), held_out_scenes(12)
    image = model.decode_latents(sample_latents(model.unet, captions(scenes), 16))
    seen = obedience(image, scenes)
    assert seen.floor >= 0.9
    assert seen.color >= 0.8
    assert (object_mask(image).flatten(1).float().mean(1) > 0.01).float().mean() >= 0.8, "there is an object"


@pytest.mark.parametrize("kind", ["canny", "scribble", "depth"])
def test_shapes_follow_the_hints_of_held_out_scenes(kind: str) -> None:
    model, scenes = load_model(WEIGHTS / BASE_NAME, WEIGHTS / DECODER_NAME), held_out_scenes(8)
    network = build_controlnet(unpack(load_file(control_weights(kind))))
    rendering = render(scenes)

    def overlap(strength: float) -> float:
        control = Control(network, HINTS[kind](rendering), strength)
        image = model.decode_latents(sample_latents(model.unet, captions(scenes), 16, control))
        return agreement(object_mask(image), true_mask(rendering)).mean().item()

    without, half, full = (overlap(strength) for strength in (0.0, 0.5, 1.0))
    assert without <= 0.35
    assert full >= 0.8
    assert without < half <= full + 0.02


def test_the_autoencoder_keeps_the_picture() -> None:
    model, image = load_model(WEIGHTS / BASE_NAME, WEIGHTS / DECODER_NAME), render(held_out_scenes(8)).image
    assert (model.decode_latents(encode(image)) - image).abs().mean() < 0.02


def test_missing_weights_are_named(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="make demo-train") as raised:
        write_models(tmp_path / "models", tmp_path)
    assert str(tmp_path / BASE_NAME) in str(raised.value)
    assert not (tmp_path / "models").exists()
