"""The trainable copy: it changes nothing at first, and its zero convolutions learn as the paper says."""

import pytest
import torch
from support.networks import dimensions, random_network
from support.toy_base import ToyBase, toy_samples
from torch import nn
from zeroconv.controlnet.networks.controlnet import ControlNet, Inputs
from zeroconv.controlnet.residuals import Residuals
from zeroconv.training.copy import continue_from, trainable_copy


def evaluate(control: ControlNet, samples, timesteps: torch.Tensor) -> Residuals:
    inputs = Inputs(samples.latents, timesteps)
    projected = control.project_context(samples.prompts.context)
    return control(inputs, control.embed_hint(samples.hints), projected)


@pytest.fixture
def base() -> ToyBase:
    return ToyBase()


def test_copy_holds_the_weights_of_the_base(base: ToyBase) -> None:
    control = trainable_copy(base.unet_weights()).state_dict()
    copied = [key for key in base.unet_weights() if not key.startswith(("out", "output_blocks"))]
    assert len(copied) > 40
    for key in copied:
        assert torch.equal(control[key], base.unet_weights()[key]), key
        assert control[key].data_ptr() != base.unet_weights()[key].data_ptr()
    assert all(key in copied or key.startswith(("zero_convs", "middle_block_out", "input_hint")) for key in control)


@pytest.mark.parametrize("family", ["SD1.5", "SD2.x", "SDXL", "SDXL mid", "SDXL small"])
def test_copy_of_every_family_has_the_familys_dimensions(family: str) -> None:
    dims = dimensions(family, 64)
    weights = random_network(dims).state_dict()
    control = trainable_copy(
        {
            key: value.half()
            for key, value in weights.items()
            if "hint" not in key and "zero" not in key and "block_out" not in key
        }
    )
    assert control.dims == dims
    assert all(p.dtype == torch.float32 and p.requires_grad for p in control.parameters())


def test_before_the_first_step_the_control_changes_no_bit(base: ToyBase) -> None:
    samples, timesteps = toy_samples(3), torch.tensor([0, 20, 49])
    residuals = evaluate(trainable_copy(base.unet_weights()), samples, timesteps)
    without = base.predict(samples.latents, timesteps, samples.prompts, None)
    assert torch.equal(base.predict(samples.latents, timesteps, samples.prompts, residuals), without)
    broken = trainable_copy(base.unet_weights())
    nn.init.constant_(broken.middle_block_out[0].bias, 1e-3)
    residuals = evaluate(broken, samples, timesteps)
    assert not torch.equal(base.predict(samples.latents, timesteps, samples.prompts, residuals), without)


def test_gradients_of_zero_convolutions_are_those_of_the_paper(base: ToyBase) -> None:
    """Equations 7 to 9: for Z(I) = W I + B at W = B = 0: dZ/dB = 1, dZ/dI = 0, dZ/dW = I."""
    control, samples = trainable_copy(base.unet_weights()), toy_samples(2)
    zero = control.zero_convs[1][0]
    seen: list[torch.Tensor] = []
    zero.register_forward_hook(lambda module, args, output: seen.append(args[0]))
    residuals = evaluate(control, samples, torch.tensor([10, 30]))
    upstream = torch.randn(residuals.output[1].shape, generator=torch.Generator().manual_seed(0))
    inputs = seen[0]
    inputs.retain_grad()
    (residuals.output[1] * upstream).sum().backward()
    expected = torch.einsum("bohw,bihw->oi", upstream, inputs.detach())
    assert expected.abs().max() > 1
    torch.testing.assert_close(zero.weight.grad[:, :, 0, 0], expected, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(zero.bias.grad, upstream.sum((0, 2, 3)), rtol=1e-5, atol=1e-4)
    assert torch.count_nonzero(inputs.grad) == 0
    behind = [p.grad for key, p in control.named_parameters() if key.startswith(("input_blocks", "input_hint_block"))]
    assert all(grad is None or torch.count_nonzero(grad) == 0 for grad in behind)


def test_hint_encoder_ends_in_zero_and_is_reproducible(base: ToyBase) -> None:
    first, again, other = (trainable_copy(base.unet_weights(), seed=seed) for seed in (0, 0, 1))
    assert torch.count_nonzero(first.input_hint_block[-1].weight) == 0
    assert torch.equal(first.input_hint_block[0].weight, again.input_hint_block[0].weight)
    assert not torch.equal(first.input_hint_block[0].weight, other.input_hint_block[0].weight)


def test_continuing_gives_the_same_network_with_weights_of_its_own() -> None:
    weights = {key: value.half() for key, value in random_network(dimensions("SD1.5", 32)).state_dict().items()}
    control = continue_from(weights)
    assert all(p.requires_grad and p.dtype == torch.float32 for p in control.parameters())
    for key, value in control.state_dict().items():
        assert torch.equal(value, weights[key].float())


def test_other_architectures_are_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match="another architecture"):
        trainable_copy({"double_blocks.0.img_attn.weight": torch.zeros(1)})
    inpainting = dict(ToyBase().unet_weights())
    inpainting["input_blocks.0.0.weight"] = torch.zeros(32, 9, 3, 3)
    with pytest.raises(ValueError, match="inpainting"):
        trainable_copy(inpainting)
