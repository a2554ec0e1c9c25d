"""Networks of the official sizes, through core's loader and ours, give the same residuals."""

from types import SimpleNamespace

import pytest
import torch
from support.measures import relative_error
from support.networks import dimensions
from support.sampling import comfy, control_from_tensors
from zeroconv.controlnet.networks.controlnet import ControlNet


def random_weights(dims):
    """Scaled by fan-in, so that the residuals of a deep network stay of the order of one."""
    generator = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = ControlNet(dims).state_dict()
    scale = {key: 1.0 if value.dim() == 1 else value[0].numel() ** -0.5 for key, value in shapes.items()}
    return {key: torch.randn(value.shape, generator=generator) * scale[key] for key, value in shapes.items()}


def base_model(dims):
    from comfy.model_sampling import EPS, ModelSamplingDiscrete

    sampling = type("Sampling", (ModelSamplingDiscrete, EPS), {})(None)
    unet = {"model_channels": 320, "context_dim": dims.context_dim, "adm_in_channels": dims.adm_channels}
    return SimpleNamespace(model_config=SimpleNamespace(unet_config=unet), model_sampling=sampling)


@pytest.mark.parametrize("family", ["SD1.5", "SD2.x", "SDXL mid"])
def test_residuals_equal_core(family):
    dims = dimensions(family, 320)
    weights = random_weights(dims)
    base, generator = base_model(dims), torch.Generator().manual_seed(1)
    x = torch.randn(1, 4, 9, 13, generator=generator).repeat(2, 1, 1, 1)
    hint = torch.rand(1, 3, 72, 104, generator=generator)
    cond = {"c_crossattn": torch.randn(2, 77, dims.context_dim, generator=generator)}
    if dims.adm_channels:
        cond["y"] = torch.randn(2, dims.adm_channels, generator=generator)
    results = []
    with torch.inference_mode():
        for control in (
            comfy.controlnet.load_controlnet_state_dict(dict(weights)),
            control_from_tensors(dict(weights)),
        ):
            control.set_cond_hint(hint, 0.7)
            control.pre_run(base, base.model_sampling.percent_to_sigma)
            results.append(control.get_control(x, torch.full((2,), 4.2), cond, 2, {"cond_or_uncond": [0, 1]}))
    theirs, ours = results
    for part in ("output", "middle"):
        for mine, other in zip(ours[part], theirs[part], strict=True):
            assert relative_error(mine, other) <= 1e-5
