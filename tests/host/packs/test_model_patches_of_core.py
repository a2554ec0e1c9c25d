"""Nodes of ComfyUI that change the MODEL beside our control: the same latents as with ComfyUI's own control."""

import pytest
import torch
from support.comfy_host import small_model
from support.measures import relative_error
from support.sampling import Run, core, hint, ours, sample
from zeroconv.host.conditioning import Unit

from comfy_extras.nodes_freelunch import FreeU_V2  # isort: skip
from comfy_extras.nodes_hypertile import HyperTile  # isort: skip
from comfy_extras.nodes_pag import PerturbedAttentionGuidance  # isort: skip

RUN = Run(steps=1, height=128, width=128)


def free_u(model, *scales):
    """Newer hosts have it as a node of the new interface."""
    return FreeU_V2.execute(model, *scales) if hasattr(FreeU_V2, "execute") else FreeU_V2().patch(model, *scales)


PATCHES = {
    "FreeU": lambda model: free_u(model, 1.3, 1.4, 0.9, 0.2),
    "HyperTile": lambda model: HyperTile.execute(model, 128, 2, 0, False),
    "perturbed attention": lambda model: PerturbedAttentionGuidance.execute(model, 3.0),
}


@pytest.mark.parametrize("name", PATCHES)
def test_the_control_is_cores(name):
    model = small_model(64)
    patched = PATCHES[name](model)[0]
    torch.manual_seed(0)
    expected = sample(patched, [Unit(core(1), hint(1, 128, 128))], RUN)
    torch.manual_seed(0)
    given = sample(PATCHES[name](model)[0], [Unit(ours(1), hint(1, 128, 128))], RUN)
    assert relative_error(given, expected) <= 1e-4
    assert relative_error(given, sample(patched, [], RUN)) > 1e-3
    if name != "HyperTile":  # it changes how, not what is computed, in pictures that are not tiled
        assert relative_error(given, sample(model, [Unit(ours(1), hint(1, 128, 128))], RUN)) > 1e-3
