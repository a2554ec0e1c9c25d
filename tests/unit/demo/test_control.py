"""The demonstration's ControlNets: their data, their trainer, their packed weights."""

import pytest
import torch
from zeroconv.controlnet.networks.build import build_controlnet
from zeroconv.demo.learning.control import HINT_WIDTHS, ControlOptions, control_dataset, control_scenes, control_trainer
from zeroconv.demo.learning.evaluate import Control, sample_latents
from zeroconv.demo.model.autoencoder import build_decoder, encode
from zeroconv.demo.model.narrow_model import DemoModel
from zeroconv.demo.model.pack import pack, unpack
from zeroconv.demo.model.text import encode_captions
from zeroconv.demo.model.unet import BaseModel
from zeroconv.demo.scenes.hints import HINTS
from zeroconv.demo.scenes.render import render
from zeroconv.demo.scenes.world import captions, is_held_out
from zeroconv.training.copy import trainable_copy

CAPTION = "a red ball on a white floor"


@pytest.fixture(scope="module")
def model() -> DemoModel:
    torch.manual_seed(0)
    return DemoModel(BaseModel(), build_decoder())


@pytest.mark.parametrize("kind", HINTS)
def test_a_sample_is_picture_hint_and_prompt_of_one_scene(kind: str) -> None:
    options = ControlOptions(kind, scenes=10)
    scenes, data = control_scenes(options), control_dataset(options)
    assert len(data) == len(scenes)
    assert not any(map(is_held_out, captions(scenes)))
    batch = data.batch([3, 1])
    for row, index in enumerate((3, 1)):
        rendering = render(scenes[index : index + 1])
        assert torch.allclose(batch.latents[row], encode(rendering.image)[0], atol=1e-5)
        assert torch.equal(batch.prompts.context[row], encode_captions(captions(scenes))[index])
        if kind != "scribble":  # whose hand trembles differently in another batch
            assert torch.allclose(batch.hints[row], HINTS[kind](rendering)[0], atol=1 / 255)


def test_an_untrained_control_changes_nothing_and_a_trained_one_does(model: DemoModel, tmp_path) -> None:
    hints = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    plain = sample_latents(model.unet, [CAPTION], 8, steps=2)
    fresh = trainable_copy(model.unet_weights(), hint_widths=HINT_WIDTHS)
    assert torch.equal(sample_latents(model.unet, [CAPTION], 8, Control(fresh, hints), steps=2), plain)
    trainer = control_trainer(model, ControlOptions("depth", steps=2, batch=2, scenes=6), tmp_path / "state.pt")
    before = {key: value.clone() for key, value in model.unet_weights().items()}
    assert trainer.run()
    assert all(torch.equal(value, model.unet_weights()[key]) for key, value in before.items())
    trained = build_controlnet(dict(trainer.control.state_dict()))
    assert not torch.equal(sample_latents(model.unet, [CAPTION], 8, Control(trained, hints), steps=2), plain)
    again = sample_latents(model.unet, [CAPTION], 8, Control(trained, hints, strength=0.0), steps=2)
    assert torch.equal(again, plain)


def test_packed_weights_differ_by_at_most_half_a_step() -> None:
    torch.manual_seed(0)
    state = trainable_copy(BaseModel().state_dict(), hint_widths=HINT_WIDTHS).state_dict()
    packed = pack(state)
    restored = unpack(packed)
    assert restored.keys() == state.keys()
    for key, value in state.items():
        if value.dim() < 2:
            assert torch.equal(restored[key], value.half().float())
        else:
            step = value.flatten(1).abs().amax(1) / 127
            error = (restored[key] - value).flatten(1).abs().amax(1)
            assert (error <= step / 2 + 1e-7).all()
    assert sum(value.nbytes for value in packed.values()) < 0.27 * sum(value.nbytes for value in state.values())
