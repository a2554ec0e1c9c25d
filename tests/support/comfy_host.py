"""ComfyUI's own modules in the test process, on the CPU: for what a server cannot show, such as counts."""

import torch
from zeroconv.comfy_client.server import comfyui_directory
from zeroconv.host.start import start_comfyui


def import_host() -> None:
    """Make `comfy` importable, computing on the CPU."""
    start_comfyui(comfyui_directory(), cpu=True)


def small_model(width: int = 64, seed: int = 0):
    """A MODEL of the SD1.5 family with random weights: `width` channels, four levels."""
    import_host()
    import comfy.supported_models

    config = comfy.supported_models.SD15(
        {
            "image_size": 32,
            "in_channels": 4,
            "out_channels": 4,
            "model_channels": width,
            "num_res_blocks": [2, 2, 2, 2],
            "channel_mult": [1, 2, 4, 4],
            "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
            "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
            "transformer_depth_middle": 1,
            "use_linear_in_transformer": False,
            "use_spatial_transformer": True,
            "context_dim": 768,
            "legacy": False,
            "adm_in_channels": None,
            "use_temporal_attention": False,
            "use_temporal_resblock": False,
            "num_heads": 8,
            "num_head_channels": -1,
        }
    )
    return _with_random_weights(config, seed)


def small_sdxl_model(width: int = 64, seed: int = 0):
    """A MODEL of the SDXL family with random weights: `width` channels, three levels, few transformer layers."""
    import_host()
    import comfy.supported_models

    config = comfy.supported_models.SDXL(
        {
            "image_size": 32,
            "in_channels": 4,
            "out_channels": 4,
            "model_channels": width,
            "num_res_blocks": [2, 2, 2],
            "channel_mult": [1, 2, 4],
            "transformer_depth": [0, 0, 1, 1, 2, 2],
            "transformer_depth_output": [0, 0, 0, 1, 1, 1, 2, 2, 2],
            "transformer_depth_middle": 2,
            "use_linear_in_transformer": True,
            "use_spatial_transformer": True,
            "context_dim": 2048,
            "legacy": False,
            "num_classes": "sequential",
            "adm_in_channels": 2816,
            "use_temporal_attention": False,
            "use_temporal_resblock": False,
            "num_heads": -1,
            "num_head_channels": 64,
        }
    )
    return _with_random_weights(config, seed)


def _with_random_weights(config, seed: int):
    """The MODEL of a `comfy.supported_models` configuration."""
    import comfy.model_patcher

    model = config.get_model({}, "", device=torch.device("cpu"))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.diffusion_model.parameters():
            scale = 1.0 if parameter.dim() == 1 else parameter[0].numel() ** -0.5
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu"))
