"""Whether a network and a base model belong together, where one base model inherits from another."""

import pytest
import torch
from support.comfy_host import import_host

import_host()

import comfy.model_base
from zeroconv.host.controls.base_model_check import BASES, check_transformer_family

DERIVED = [
    (family, name)
    for family, bases in BASES.items()
    for name, kind in vars(comfy.model_base).items()
    if isinstance(kind, type)
    and name not in bases
    and any(issubclass(kind, getattr(comfy.model_base, base)) for base in bases if hasattr(comfy.model_base, base))
]
"""Families, and the host's classes that only inherit from theirs."""


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
    with pytest.raises(ValueError, match=rf"for {family}, but the MODEL is {name}"):
        check_transformer_family(family, None, instance(getattr(comfy.model_base, name)))


@pytest.mark.parametrize("family", [name for name, bases in BASES.items() if hasattr(comfy.model_base, bases[0])])
def test_the_model_itself_and_a_class_of_another_pack_pass(family):
    """Packs derive classes of their own, and change only how they sample."""
    base = getattr(comfy.model_base, BASES[family][0])
    for kind in (base, type("WithRegions", (base,), {"__module__": "custom_nodes.regions"})):
        check_transformer_family(family, None, instance(kind))
