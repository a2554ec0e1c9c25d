"""ComfyUI's own modules in the test process, on the CPU: for what a server cannot show, such as counts."""

import torch
from zeroconv.benchmarks.models.unets import unet_config
from zeroconv.comfy_client.server import comfyui_directory
from zeroconv.host.start import start_comfyui


def import_host() -> None:
    """Make `comfy` importable, computing on the CPU."""
    start_comfyui(comfyui_directory(), cpu=True)


TWO_LEVELS = {
    "num_res_blocks": [1, 1],
    "channel_mult": [1, 2],
    "transformer_depth": [1, 1],
    "transformer_depth_output": [1, 1, 1, 1],
}
"""What makes a UNet with a quarter of SD1.5's layers, for tests that run many samplings."""


def small_model(width: int = 64, seed: int = 0, **changes: list[int] | int):
    """A MODEL of the SD1.5 family with random weights: `width` channels, four levels unless changed."""
    import_host()
    import comfy.supported_models

    return _with_random_weights(comfy.supported_models.SD15(unet_config("SD1.5", width, **changes)), seed)


def small_sdxl_model(width: int = 64, seed: int = 0):
    """A MODEL of the SDXL family with random weights: `width` channels, three levels, few transformer layers."""
    import_host()
    import comfy.supported_models

    encoder, middle, decoder = [0, 0, 1, 1, 2, 2], 2, [0, 0, 0, 1, 1, 1, 2, 2, 2]
    depths = {"transformer_depth": encoder, "transformer_depth_middle": middle, "transformer_depth_output": decoder}
    return _with_random_weights(comfy.supported_models.SDXL(unet_config("SDXL", width, **depths)), seed)


def _with_random_weights(config, seed: int):
    """The MODEL of a `comfy.supported_models` configuration."""
    import comfy.model_management
    import comfy.model_patcher

    model = config.get_model({}, "", device=torch.device("cpu"))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.diffusion_model.parameters():
            scale = 1.0 if parameter.dim() == 1 else parameter[0].numel() ** -0.5
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    device = comfy.model_management.get_torch_device()
    return comfy.model_patcher.ModelPatcher(model, device, torch.device("cpu"))
