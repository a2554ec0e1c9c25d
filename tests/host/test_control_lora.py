"""Control-LoRA: merged once, equal to core, which makes the product at every step."""

import pytest
import torch
from safetensors.torch import save_file
from support.comfy_host import small_model
from support.networks import dimensions, random_network
from support.sampling import Run, comfy, hint, sample
from zeroconv.host import loading
from zeroconv.host.conditioning import Unit

RANK = 4


@pytest.fixture(scope="module")
def model():
    return small_model(64)


@pytest.fixture
def lora(tmp_path, monkeypatch):
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
    save_file(tensors, tmp_path / "lora.safetensors")
    monkeypatch.setitem(loading.folder_paths.folder_names_and_paths, "controlnet", ([str(tmp_path)], {".safetensors"}))
    return tensors


def test_equal_to_core(model, lora):
    # core writes into the dictionary it is given, and cleans up by deleting its network
    theirs = comfy.controlnet.ControlLora({key: value.clone() for key, value in lora.items()})
    ours = loading.load_control("lora.safetensors", model)
    a, b, plain = (sample(model, units, Run()) for units in ([Unit(theirs, hint())], [Unit(ours, hint())], []))
    assert torch.linalg.norm(a - b) / torch.linalg.norm(a) <= 1e-5
    assert torch.linalg.norm(a - plain) / torch.linalg.norm(a) > 1e-3


def test_without_a_model_it_says_what_to_wire(lora):
    with pytest.raises(ValueError, match=r"lora\.safetensors.*Control-LoRA.*Wire the MODEL"):
        loading.load_control("lora.safetensors")
