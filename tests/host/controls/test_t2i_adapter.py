"""T2I-Adapters: the features of core's and of diffusers' networks, run once for a hint, chained and shaped."""

import pytest
import torch
from safetensors.torch import save_file
from support.comfy_host import small_model, small_sdxl_model
from support.formats import KINDS, tensors
from support.layouts import adapter, light_adapter
from support.measures import relative_error
from support.sampling import Run, comfy, core, hint, ours, sample, sdxl_prompts
from zeroconv.controlnet.formats import load_tensors
from zeroconv.controlnet.networks.t2i_adapter import build_t2i_adapter
from zeroconv.controlnet.strength.cfg_weights import CfgWeights
from zeroconv.host.conditioning import Unit
from zeroconv.host.controls.t2i_adapter import T2IAdapterRunner
from zeroconv.host.controls.union import set_union_type
from zeroconv.host.loading import load as loading
from zeroconv.host.settings import with_factors

WIDTH = 64
FILES = {
    "color": adapter(192, WIDTH),
    "grey": adapter(64, WIDTH),
    "learned halving": adapter(192, WIDTH, learned_down=True),
    "light": lambda: light_adapter(192, WIDTH),
    "sdxl": adapter(768, WIDTH),
    "sdxl grey": adapter(256, WIDTH),
}
SMALL = [32, 64, 128, 128]
LIBRARY = {
    "full_adapter": {"channels": SMALL},
    "full_adapter_xl": {"channels": SMALL, "downscale_factor": 16},
    "light_adapter": {"channels": SMALL[:3], "num_res_blocks": 4},
}


@pytest.fixture(scope="module")
def model():
    return small_model(WIDTH)


def load(folder, name, model=None):
    save_file(weights(name), folder / "adapter.safetensors")
    control = loading.load_control("adapter.safetensors", model)
    assert isinstance(control.runner, T2IAdapterRunner)
    return control


def weights(name):
    return tensors(FILES[name](), seed=3)


def theirs(name):
    if name == "light":  # core's loader takes light ones of official widths only
        import comfy.t2i_adapter.adapter as networks

        widths = [WIDTH, 2 * WIDTH, 4 * WIDTH, 4 * WIDTH]
        network = networks.Adapter_light(cin=192, channels=widths, nums_rb=4)
        network.load_state_dict(weights(name))
        return comfy.controlnet.T2IAdapter(network, network.input_channels, 8, "nearest-exact")
    return comfy.controlnet.load_t2i_adapter(weights(name))


@pytest.mark.parametrize("name", [name for name in FILES if "sdxl" not in name])
@pytest.mark.parametrize("size", [(64, 64), (56, 72)], ids=str)
def test_equal_to_core(model, controlnet_folder, name, size):
    run = Run(batch=2, height=size[0], width=size[1])
    mine, other, plain = (
        sample(model, units, run)
        for units in ([Unit(load(controlnet_folder, name), hint(), 0.7)], [Unit(theirs(name), hint(), 0.7)], [])
    )
    assert relative_error(mine, other) <= 1e-5
    assert relative_error(plain, other) > 1e-3


@pytest.mark.parametrize("name", ["sdxl", "sdxl grey"])
def test_equal_to_core_on_sdxl(controlnet_folder, name):
    model, run = small_sdxl_model(WIDTH), Run(height=72, width=48)
    mine, other, plain = (
        sample(model, units, run, sdxl_prompts())
        for units in ([Unit(load(controlnet_folder, name), hint())], [Unit(theirs(name), hint())], [])
    )
    assert relative_error(mine, other) <= 1e-5
    assert relative_error(plain, other) > 1e-3


@pytest.mark.parametrize("kind", LIBRARY)
def test_features_equal_diffusers(kind, tmp_path):
    from diffusers import T2IAdapter

    torch.manual_seed(0)
    reference = T2IAdapter(adapter_type=kind, **LIBRARY[kind]).eval()
    save_file(reference.state_dict(), tmp_path / "adapter.safetensors")
    form, loaded = load_tensors(tmp_path / "adapter.safetensors")
    assert form.id == "t2i-adapter"
    network = build_t2i_adapter(loaded)
    image = torch.rand(2, 3, 128, 192)
    with torch.no_grad():
        for mine, other in zip(network(image), reference(image), strict=True):
            assert relative_error(mine, other) <= 1e-5


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["adapter first", "adapter last"])
def test_chained_with_a_controlnet_equals_core(model, controlnet_folder, order):
    mine = [Unit(load(controlnet_folder, "color"), hint(seed=8), 0.8), Unit(ours(1), hint(), 0.9, 0.0, 0.6)]
    other = [Unit(theirs("color"), hint(seed=8), 0.8), Unit(core(1), hint(), 0.9, 0.0, 0.6)]
    results = [sample(model, [units[index] for index in order], Run()) for units in (mine, other)]
    mixed = sample(model, [other[order[0]], mine[order[1]]], Run())
    assert relative_error(*results) <= 1e-5
    assert relative_error(mixed, results[1]) <= 1e-5


def test_it_runs_once_for_a_hint(model, controlnet_folder):
    control = load(controlnet_folder, "color")
    sample(model, [Unit(control, hint())], Run(steps=6))
    assert control.runner.loaded.cache.counts.forwards == 1


def test_masks_and_sides_act_as_on_every_control(model, controlnet_folder):
    control = load(controlnet_folder, "color")
    run = Run(batch=2)
    plain, whole = sample(model, [], run), sample(model, [Unit(control, hint())], run)
    black = sample(model, [Unit(control, hint(), mask=torch.zeros(1, 8, 8))], run)
    white = sample(model, [Unit(control, hint(), mask=torch.ones(1, 8, 8))], run)
    assert torch.equal(black, plain)
    assert relative_error(white, whole) <= 1e-6
    prompt_side = with_factors(control, "side", lambda factors: type(factors)(cfg_weights=CfgWeights(1, 0)))
    assert relative_error(sample(model, [Unit(prompt_side, hint())], run), whole) > 1e-4


def test_a_hint_for_each_picture_is_its_own(model, controlnet_folder):
    control, hints = load(controlnet_folder, "color"), hint(2)
    both = sample(model, [Unit(control, hints)], Run(batch=2))
    first = sample(model, [Unit(control, hints[:1])], Run(batch=2))
    second = sample(model, [Unit(control, hints[1:])], Run(batch=2))
    assert relative_error(both[0], first[0]) <= 1e-5
    assert relative_error(both[1], second[1]) <= 1e-5
    assert relative_error(first[1], second[1]) > 1e-3


def test_another_family_is_told(model, controlnet_folder):
    with pytest.raises(ValueError, match=r"adapter\.safetensors.*T2I-Adapter is for SDXL.*MODEL is SD1\.5"):
        load(controlnet_folder, "sdxl", model)
    with pytest.raises(ValueError, match=r"T2I-Adapter is for SD1\.5.*MODEL is SDXL"):
        load(controlnet_folder, "color", small_sdxl_model(WIDTH))


def test_pickled_adapters_may_lie_under_a_name(controlnet_folder):
    torch.save({"adapter": tensors(KINDS["t2i-adapter grey"].shapes())}, controlnet_folder / "adapter.pth")
    assert isinstance(loading.load_control("adapter.pth").runner, T2IAdapterRunner)


def test_an_adapter_knows_no_kinds_of_hints(controlnet_folder):
    with pytest.raises(ValueError, match="no union types"):
        set_union_type(load(controlnet_folder, "color"), "depth")
