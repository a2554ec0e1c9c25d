"""Whether a network and a base model belong together, where one base model inherits from another."""

import pytest
import torch
from support.comfy_host import import_host

import_host()

import comfy.model_base
import comfy.supported_models
from zeroconv.controlnet.formats import FORMATS
from zeroconv.host.controls.base_model_check import (
    BASES,
    base_family,
    check_transformer_family,
    check_unet_family,
    is_picture_unet,
)

DERIVED = [
    (family, name)
    for family, bases in BASES.items()
    for name, kind in vars(comfy.model_base).items()
    if isinstance(kind, type)
    and name not in bases
    and any(issubclass(kind, getattr(comfy.model_base, base)) for base in bases if hasattr(comfy.model_base, base))
]
"""Families, and the host's classes that only inherit from theirs."""


EVERY_BASE = [
    kind
    for kind in vars(comfy.model_base).values()
    if isinstance(kind, type) and issubclass(kind, comfy.model_base.BaseModel)
]
OTHERS = {
    "Flux": ("Flux2", "Chroma", "ChromaRadiance", "LongCatImage", "SD3", "QwenImage"),
    "Qwen-Image": ("MageFlow", "Flux", "WAN21"),
    "Z-Image": ("ZImagePixelSpace", "Flux"),
    "SD3": ("Flux", "SDXL"),
    "Hunyuan-DiT": ("HunyuanVideo", "HunyuanImage21"),
    "Anima": ("CosmosPredict2", "QwenImage"),
    "Wan": ("WAN21_HuMo", "WAN22_Animate", "WAN22_S2V", "WAN22", "QwenImage", "Anima"),
    "Stable Cascade": ("StableCascade_B",),
}
"""Base models that a family's networks were not made for, though some inherit from its own."""
UNETS = {"SD1.5": (768, None), "SD2.x": (1024, None), "SDXL": (2048, 2816), "SDXL without attention": (None, 2816)}
"""Widths of the prompt's tokens and of the size vector, by the family of a network for Stable Diffusion."""


class Described:
    """A base model that is not built: its class and the host's description of it."""

    def __init__(self, supported):
        self.model_config, self.described = supported, supported.__name__


def instance(kind):
    model = kind.__new__(kind)
    torch.nn.Module.__init__(model)
    model.diffusion_model = torch.nn.Module()
    return model


def test_the_host_has_such_models():
    assert ("Flux", "Flux2") in DERIVED
    assert ("Flux", "Chroma") in DERIVED


@pytest.mark.parametrize(("family", "name"), DERIVED)
def test_a_model_that_only_inherits_is_another_one(family, name):
    with pytest.raises(ValueError, match=rf"for {family}, but the MODEL is {name}.*a\.safetensors"):
        check_transformer_family("a.safetensors", family, None, instance(getattr(comfy.model_base, name)))


@pytest.mark.parametrize("family", [name for name, bases in BASES.items() if hasattr(comfy.model_base, bases[0])])
def test_the_model_itself_and_a_class_of_another_pack_pass(family):
    """Packs derive classes of their own, and change only how they sample."""
    base = getattr(comfy.model_base, BASES[family][0])
    for kind in (base, type("WithRegions", (base,), {"__module__": "custom_nodes.regions"})):
        check_transformer_family("a.safetensors", family, None, instance(kind))


@pytest.mark.parametrize("family", BASES)
def test_every_pair_of_a_family_that_the_host_runs_and_a_base_model(family):
    for kind in EVERY_BASE:
        if kind.__name__ in BASES[family]:
            check_transformer_family("a.safetensors", family, None, instance(kind))
            continue
        with pytest.raises(ValueError, match=rf"for {family}, but the MODEL is {kind.__name__}\."):
            check_transformer_family("a.safetensors", family, None, instance(kind))


@pytest.mark.parametrize(("family", "name"), [(family, name) for family, names in OTHERS.items() for name in names])
def test_base_models_that_are_like_a_family_are_others(family, name):
    if not hasattr(comfy.model_base, name):
        pytest.skip("this ComfyUI has no such base model")
    with pytest.raises(ValueError, match=f"but the MODEL is {name}"):
        check_transformer_family("a.safetensors", family, None, instance(getattr(comfy.model_base, name)))


@pytest.mark.parametrize("family", UNETS)
def test_every_pair_of_a_stable_diffusion_family_and_a_base_model(family):
    context, adm = UNETS[family]
    fitting = set()
    for supported in comfy.supported_models.models:
        config = supported.unet_config
        of_the_family = context in (None, config.get("context_dim")) and config.get("adm_in_channels") == adm
        if of_the_family and is_picture_unet(config):
            check_unet_family("a.safetensors", family, context, adm, Described(supported))
            fitting.add(supported.__name__)
            continue
        with pytest.raises(ValueError, match=rf"for {family}, but the MODEL is (?!an unknown family \(context None)"):
            check_unet_family("a.safetensors", family, context, adm, Described(supported))
    assert {"SD1.5": "SD15", "SD2.x": "SD20"}.get(family, "SDXL") in fitting
    assert not fitting & {"Flux", "SD3", "SVD_img2vid", "Stable_Cascade_C", "ZImage", "WAN21_T2V", "SDXLRefiner"}


def test_a_video_unet_is_not_the_family_whose_prompt_it_has():
    assert base_family(Described(comfy.supported_models.SVD_img2vid)) == "Stable Video Diffusion"


def test_every_family_of_the_formats_is_in_the_matrix():
    """What ComfyUI's own networks run is described by formats without a network of ours."""
    from support.formats import KINDS

    hosted = {kind.family for kind in KINDS.values() if kind.family}
    ours = {kind.family for kind in KINDS.values() for form in FORMATS if form.id == kind.format and form.build}
    assert hosted - ours == set(BASES)
