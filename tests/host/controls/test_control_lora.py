"""Control-LoRA: merged once, equal to core, which makes the product at every step."""

from collections import Counter
from unittest import mock

import pytest
import torch
from safetensors.torch import save_file
from support.comfy_host import small_model
from support.measures import relative_error
from support.networks import dimensions, random_network
from support.sampling import Run, comfy, hint, sample
from support.sampling import weights as random_weights
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count
from zeroconv.controlnet.formats import control_lora, load_tensors
from zeroconv.controlnet.networks import build
from zeroconv.host.conditioning import Unit
from zeroconv.host.loading import load as loading

RANK = 4
ATTENTION_FLOPS = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v)
}
"""Operations of the fused attention on a CPU, which PyTorch's own table lacks."""


@pytest.fixture(scope="module")
def model():
    return small_model(64)


@pytest.fixture
def lora(controlnet_folder):
    """A file with Stability's keys: low-rank matrices for the encoder, the rest whole."""
    generator = torch.Generator().manual_seed(4)
    tensors = {"lora_controlnet": torch.zeros(0)}
    for key, value in random_network(dimensions("SD1.5", 64)).state_dict().items():
        module, _, kind = key.rpartition(".")
        whole = key.startswith(("zero_convs", "middle_block_out", "input_hint_block"))
        if kind == "weight" and value.dim() > 1 and not whole:
            up = torch.randn(value.shape[0], RANK, *(1,) * (value.dim() - 2), generator=generator)
            down = torch.randn(RANK, *value.shape[1:], generator=generator)
            tensors |= {f"{module}.up": 0.02 * up, f"{module}.down": down}
        else:
            tensors[key] = value.clone()
    save_file(tensors, controlnet_folder / "lora.safetensors")
    return tensors


def test_equal_to_core(model, lora):
    # core writes into the dictionary it is given, and cleans up by deleting its network
    theirs = comfy.controlnet.ControlLora({key: value.clone() for key, value in lora.items()})
    ours = loading.load_control("lora.safetensors", model)
    a, b, plain = (sample(model, units, Run()) for units in ([Unit(theirs, hint())], [Unit(ours, hint())], []))
    assert relative_error(b, a) <= 1e-5
    assert relative_error(plain, a) > 1e-3


def test_the_models_loras_count_as_in_core(model, lora):
    """Core takes the weights that the MODEL samples with, its LoRAs among them."""
    patched, key = model.clone(), "diffusion_model.input_blocks.4.1.proj_in.weight"
    change = torch.randn(model.model_state_dict()[key].shape, generator=torch.Generator().manual_seed(8))
    patched.add_patches({key: ("diff", (change,))}, 0.2)
    theirs = comfy.controlnet.ControlLora({key: value.clone() for key, value in lora.items()})
    given = [[Unit(theirs, hint())]]
    given += [[Unit(loading.load_control("lora.safetensors", base), hint())] for base in (patched, model)]
    core, own, plain = (sample(patched, units, Run()) for units in given)
    assert relative_error(own, core) <= 1e-5
    assert relative_error(plain, core) > 1e-3


def test_an_inpainting_model_is_named(model, lora, tmp_path):
    """Its first layer takes nine channels; the file's family is right, and its plain model would do."""
    base = loading.unet_weights(model)
    first = "input_blocks.0.0.weight"
    inpainting = {**base, first: torch.cat([base[first], base[first], base[first][:, :1]], 1)}
    difference = {"difference": torch.zeros(()), **random_weights(1)}
    save_file({key: value.contiguous() for key, value in difference.items()}, tmp_path / "difference.safetensors")
    for name in ("lora", "difference"):
        with pytest.raises(ValueError, match=r"inpainting model.*9 channels.*takes 4.*plain MODEL of the same family"):
            load_tensors(tmp_path / f"{name}.safetensors", lambda: inpainting)


def test_without_a_model_it_says_what_to_wire(lora):
    with pytest.raises(ValueError, match=r"lora\.safetensors.*Control-LoRA.*Wire the MODEL"):
        loading.load_control("lora.safetensors")


def flops(work) -> int:
    with FlopCounterMode(display=False, custom_mapping=ATTENTION_FLOPS) as counter:
        work()
    return counter.get_total_flops()


def product_flops(lora) -> int:
    """Operations of up @ down for all layers, once."""
    ups = ((key.removesuffix(".up"), value) for key, value in lora.items() if key.endswith(".up"))
    return sum(2 * up.shape[0] * up.shape[1] * lora[f"{module}.down"][0].numel() for module, up in ups)


def test_a_sampling_multiplies_nothing_out(model, lora):
    """Ours costs what the same ControlNet costs in full; core adds the products at every step."""
    steps = 2
    theirs = comfy.controlnet.ControlLora({key: value.clone() for key, value in lora.items()})
    ours = loading.load_control("lora.safetensors", model)
    whole = loading.control_from_tensors(dict(ours.runner.loaded.network.state_dict()))
    counts = {
        name: flops(lambda control=control: sample(model, [Unit(control, hint())], Run(steps)))
        for name, control in (("core", theirs), ("ours", ours), ("whole", whole))
    }
    assert counts["ours"] == counts["whole"]
    assert counts["core"] - counts["ours"] >= steps * product_flops(lora)


def test_two_samplings_build_and_merge_once(model, lora):
    """Core builds its network anew for each side of each sampling."""
    counts = Counter()

    def counted(name, function):
        def call(*arguments, **named):
            counts[name] += 1
            return function(*arguments, **named)

        return call

    core_class, merge = comfy.cldm.cldm.ControlNet, control_lora.add_low_rank
    theirs = comfy.controlnet.ControlLora({key: value.clone() for key, value in lora.items()})
    with (
        mock.patch.object(core_class, "__init__", counted("core builds", core_class.__init__)),
        mock.patch.object(build, "fill", counted("builds", build.fill)),
        mock.patch.object(control_lora, "add_low_rank", counted("merged layers", merge)),
    ):
        ours = loading.load_control("lora.safetensors", model)
        layers = sum(key.endswith(".up") for key in lora)
        assert counts == {"builds": 1, "merged layers": layers}
        for control in (ours, theirs):
            for _ in range(2):
                sample(model, [Unit(control, hint())], Run(1))
    assert counts == {"builds": 1, "merged layers": layers, "core builds": 4}
