"""CtrLoRA: merged with its base and shown the hint's latent, equal to the authors' rule written out."""

import pytest
import torch
from safetensors.torch import save_file
from support.checkpoints import SD15
from support.comfy_host import import_host, small_model
from support.formats import tensors
from support.layouts import ctrlora, ctrlora_base, ctrlora_full
from support.measures import relative_error
from torch import nn

import_host()

import comfy.cldm.cldm
import comfy.controlnet
import comfy.latent_formats
from comfy.ldm.modules.diffusionmodules.util import timestep_embedding
from support.hosted import Vae
from support.sampling import Run, core_network, hint, sample
from zeroconv.host.conditioning import Unit
from zeroconv.host.loading import load as loading

WIDTH, RANK, PREFIX = 64, 4, "control_model."


class Paper(comfy.cldm.cldm.ControlNet):
    """The forward of the authors' `ControlNetInference`, on core's layers."""

    def forward(self, x, hint, timesteps, context, **options):
        emb = self.time_embed(timestep_embedding(timesteps, self.model_channels))
        h, outputs = hint, []
        for block, zero_conv in zip(self.input_blocks, self.zero_convs, strict=True):
            h = block(h, emb, context)
            outputs.append(zero_conv(h, emb, context))
        h = self.middle_block(h, emb, context)
        return {"output": outputs, "middle": [self.middle_block_out(h, emb, context)]}


def reference(base, lora):
    """Their control: the matrices stay apart and are added to every linear layer's result."""
    network = core_network(Paper)
    del network.input_hint_block
    own = {k: v for k, v in base.items() if not any(part in k for part in ("lora_layer", *lora))}
    own |= {k: v for k, v in lora.items() if "lora_layer" not in k}
    network.load_state_dict({key.removeprefix(PREFIX): value for key, value in own.items()})
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Linear) and lora:
            down, up = (lora[f"{PREFIX}{name}.lora_layer.{part}.weight"] for part in ("down", "up"))
            layer.register_forward_hook(lambda _, given, out, down=down, up=up: out + given[0] @ down.T @ up.T)
    control = comfy.controlnet.ControlNet(network, load_device=torch.device("cpu"))
    control.latent_format, control.compression_ratio = comfy.latent_formats.SD15(), 1
    control.preprocess_image = lambda picture: (picture + 1) / 2
    return control


@pytest.fixture(scope="module")
def model():
    return small_model(WIDTH)


@pytest.fixture
def files(controlnet_folder):
    made = {
        "lora": tensors(ctrlora(SD15, RANK, WIDTH)(), seed=1),
        "base": tensors(ctrlora_base(SD15, RANK, WIDTH)(), seed=2),
        "full": tensors(ctrlora_full(SD15, WIDTH)(), seed=3),
        "narrow": tensors(ctrlora_full(SD15, 32)(), seed=4),
        "plain": {"zero_convs.0.0.weight": torch.zeros(4)},
    }
    half = f"{PREFIX}time_embed.0.lora_layer.up.weight"
    made["torn"] = {key: value for key, value in made["lora"].items() if key != half}
    for name, weights in made.items():
        save_file(weights, controlnet_folder / f"{name}.safetensors")
    return made


def load(name, model=None, base=None):
    return loading.load_control(f"{name}.safetensors", model, base_file=base and f"{base}.safetensors")


@pytest.mark.parametrize("pictures", [1, 2])
@pytest.mark.parametrize(("name", "base"), [("lora", "base"), ("full", None)])
def test_equal_to_the_authors_rule(model, files, name, base, pictures):
    theirs = reference(files[base or name], files[name] if base else {})
    units = [Unit(control, hint(pictures), vae=Vae(4)) for control in (theirs, load(name, model, base))]
    run = Run(batch=2)
    a, b, plain = (sample(model, chain, run) for chain in (units[:1], units[1:], []))
    assert relative_error(b, a) <= 1e-5
    assert relative_error(plain, a) > 1e-3


def test_the_hint_is_seen_and_embedded_once(model, files):
    control, vae = load("lora", base="base"), Vae(4)
    sample(model, [Unit(control, hint(), vae=vae)], Run(steps=3))
    counts = control.runner.loaded.cache.counts
    assert (vae.calls, counts.hint_embeddings, counts.forwards) == (1, 1, 3)


def test_strength_zero_is_no_control(model, files):
    unit = Unit(load("lora", base="base"), hint(), strength=0.0, vae=Vae(4))
    assert torch.equal(sample(model, [unit], Run()), sample(model, [], Run()))


def test_a_missing_vae_is_said_at_apply(model, files):
    with pytest.raises(ValueError, match=r"VAE to .*Apply"):
        sample(model, [Unit(load("full"), hint())], Run())
    with pytest.raises(ValueError, match=r"'full' \(CtrLoRA\).*VAE to .*Apply"):  # ComfyUI's own apply nodes
        load("full").copy().set_cond_hint(hint().movedim(-1, 1))


@pytest.mark.parametrize(
    ("name", "base", "said"),
    [
        ("lora", None, r"lora\.safetensors.*base ControlNet \(ctrlora_sd15_basecn700k\).*as base_file"),
        ("lora", "plain", r"lora\.safetensors.*base_file is not a base ControlNet"),
        ("lora", "narrow", r"lora\.safetensors.*does not fit the base_file at '"),
        ("torn", "base", r"torn\.safetensors.*does not fit the base_file at 'time_embed\.0'"),
        ("base", "lora", r"base\.safetensors.*choose a CtrLoRA in ControlNet Load"),
    ],
)
def test_wrong_files_are_told_apart(files, name, base, said):
    with pytest.raises(ValueError, match=said):
        load(name, base=base)
