"""ControlNet-LLLite: the formula of its authors at every layer, as one control among others."""

import pytest
import torch
from safetensors.torch import save_file
from support.comfy_host import small_model, small_sdxl_model
from support.formats import tensors
from support.layouts import adapter, lllite
from support.measures import relative_error
from support.sampling import Run, hint, sample, sdxl_prompts
from torch.nn import functional
from zeroconv.controlnet.hint.fit import Fit, fit_hint
from zeroconv.controlnet.networks.lllite import parse_placement
from zeroconv.host.conditioning import Unit
from zeroconv.host.controls.lllite import LLLiteRunner
from zeroconv.host.loading import load as loading

WIDTH = 64
LAYERS = {"layers": {4: 1, 5: 1, 7: 2, 8: 2}, "middle": 2}
"""Transformer layers of the small SDXL model."""


@pytest.fixture(scope="module")
def model():
    return small_sdxl_model(WIDTH)


@pytest.fixture(scope="module")
def weights():
    return tensors(lllite(2 * WIDTH, **LAYERS)(), seed=6)


@pytest.fixture
def control(controlnet_folder, weights):
    save_file(weights, controlnet_folder / "lllite.safetensors")
    save_file(tensors(adapter(768, WIDTH)(), seed=2), controlnet_folder / "adapter.safetensors")
    loaded = loading.load_control("lllite.safetensors")
    assert isinstance(loaded.runner, LLLiteRunner)
    return loaded


def run_of(size=(64, 64), batch=1):
    return Run(steps=3, batch=batch, height=size[0], width=size[1])


def draw(model, units, run):
    return sample(model, units, run, sdxl_prompts())


class Formula:
    """x -> W (x + m up(relu(mid([c, relu(down(x))])))) put before the base model's own linear layers.

    c: convolutions of the hint in -1..1, a ReLU between them (kohya-ss, control_net_lllite.py).
    """

    def __init__(self, model, weights, image, size, strength):
        self.hooks = []
        unet = model.model.diffusion_model
        for name in dict.fromkeys(key.partition(".")[0] for key in weights):
            own = {k.removeprefix(f"{name}."): v for k, v in weights.items() if k.startswith(f"{name}.")}
            placement = parse_placement(name)
            block = "middle_block" if placement.part == "middle" else f"{placement.part}_blocks.{placement.block}"
            attention, _, projection = placement.projection.partition("_")
            layer = f"{block}.1.transformer_blocks.{placement.layer}.{attention}.{projection}"
            condition = self.condition(own, image, 2 if "blocks_4" in name or "blocks_5" in name else 4, size)
            before = self.shift(own, condition, strength)
            self.hooks.append(unet.get_submodule(layer).register_forward_pre_hook(before))

    @staticmethod
    def condition(own, image, halved, size):
        x = image * 2 - 1
        x = functional.pad(x, (0, -x.shape[3] % 32, 0, -x.shape[2] % 32), mode="replicate")
        numbers = [n for n in (0, 2, 4) if f"conditioning1.{n}.weight" in own]
        for number in numbers:
            kernel = own[f"conditioning1.{number}.weight"]
            x = functional.conv2d(x, kernel, own[f"conditioning1.{number}.bias"], stride=kernel.shape[-1])
            x = x if number == numbers[-1] else x.relu()
        rows, columns = (-(-side // 8 // halved) for side in size)
        return x[:, :, :rows, :columns].flatten(2).transpose(1, 2)

    @staticmethod
    def shift(own, condition, strength):
        def linear(x, name):
            return functional.linear(x, own[f"{name}.0.weight"], own[f"{name}.0.bias"])

        def before(layer, inputs):
            (x,) = inputs
            c = condition.repeat(x.shape[0] // condition.shape[0], 1, 1)
            return x + strength * linear(linear(torch.cat([c, linear(x, "down").relu()], 2), "mid").relu(), "up")

        return before

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for hook in self.hooks:
            hook.remove()


@pytest.mark.parametrize("size", [(64, 64), (72, 56)], ids=str)
@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_equal_to_the_formula(model, weights, control, size, strength):
    run = run_of(size, batch=2)
    mine = draw(model, [Unit(control, hint(), strength)], run)
    plain = draw(model, [], run)
    fitted = fit_hint(hint().movedim(-1, 1), size, Fit())
    with torch.no_grad(), Formula(model, weights, fitted, size, strength):
        reference = draw(model, [], run)
    assert relative_error(mine, reference) <= 1e-5
    assert relative_error(plain, reference) > 1e-3


def test_nothing_is_left_in_the_model(model, control):
    before = draw(model, [], run_of())
    draw(model, [Unit(control, hint())], run_of())
    assert torch.equal(draw(model, [], run_of()), before)
    assert "attn1_patch" not in model.model_options["transformer_options"].get("patches", {})


def test_the_hint_is_embedded_once(model, control):
    draw(model, [Unit(control, hint())], run_of())
    assert control.runner.loaded.cache.counts.hint_embeddings == 1


def test_range_mask_and_strength_act_as_on_every_control(model, control):
    plain, whole = draw(model, [], run_of()), draw(model, [Unit(control, hint())], run_of())
    black = draw(model, [Unit(control, hint(), mask=torch.zeros(1, 8, 8))], run_of())
    white = draw(model, [Unit(control, hint(), mask=torch.ones(1, 8, 8))], run_of())
    early = draw(model, [Unit(control, hint(), end=0.3)], run_of())
    half = draw(model, [Unit(control, hint(), mask=torch.eye(8)[None])], run_of())
    assert torch.equal(black, plain)
    assert relative_error(white, whole) <= 1e-6
    assert min(relative_error(part, other) for part in (early, half) for other in (plain, whole)) > 1e-4


def test_a_hint_for_each_picture_is_its_own(model, control):
    hints = hint(2)
    both = draw(model, [Unit(control, hints)], run_of(batch=2))
    first = draw(model, [Unit(control, hints[:1])], run_of(batch=2))
    second = draw(model, [Unit(control, hints[1:])], run_of(batch=2))
    assert relative_error(both[0], first[0]) <= 1e-5
    assert relative_error(both[1], second[1]) <= 1e-5


@pytest.mark.parametrize("placement", [0, 1, 2])
def test_its_place_in_a_chain_does_not_matter_to_controls_of_residuals(model, control, placement):
    adapters = [Unit(loading.load_control("adapter.safetensors"), hint(seed=seed), 0.5) for seed in (1, 2)]
    own = Unit(control, hint())
    without = draw(model, adapters, run_of())
    last = draw(model, [*adapters, own], run_of())
    chain = draw(model, [*adapters[:placement], own, *adapters[placement:]], run_of())
    assert relative_error(chain, last) <= 1e-5
    assert relative_error(chain, without) > 1e-3


def test_two_in_a_chain_both_act_in_its_order(model, control):
    one, other = Unit(control, hint(seed=1)), Unit(control, hint(seed=2), 0.5)
    both = draw(model, [one, other], run_of())
    assert all(relative_error(both, draw(model, [unit], run_of())) > 1e-3 for unit in (one, other))


def test_another_family_is_told_by_name(tmp_path, control):
    with pytest.raises(ValueError, match=r"lllite\.safetensors.*is for SDXL.*MODEL is SD1\.5"):
        loading.load_control("lllite.safetensors", small_model(64))
    with pytest.raises(ValueError, match=r"does not fit this SDXL model.*128 channels, the MODEL has 64"):
        loading.load_control("lllite.safetensors", small_sdxl_model(32))


def test_layers_that_no_patch_reaches_are_refused(tmp_path, control):
    shapes = {key.replace("attn2_to_q", "ff_net_2"): value for key, value in lllite(2 * WIDTH, **LAYERS)().items()}
    save_file(tensors(shapes), tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"other\.safetensors.*ff_net_2.*queries, keys and values"):
        loading.load_control("other.safetensors")
