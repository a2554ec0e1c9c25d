"""ComfyUI's descriptions of the UNets of SD1.5 and SDXL, for base models and networks of any width."""

from typing import Any

from ..workloads import Family

COMMON = {
    "image_size": 32, "in_channels": 4, "out_channels": 4, "use_spatial_transformer": True, "legacy": False,
    "use_temporal_attention": False, "use_temporal_resblock": False,
}  # fmt: skip
UNETS: dict[Family, dict[str, Any]] = {
    "SD1.5": COMMON | {
        "num_res_blocks": [2, 2, 2, 2], "channel_mult": [1, 2, 4, 4], "num_heads": 8, "num_head_channels": -1,
        "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0], "transformer_depth_middle": 1,
        "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
        "context_dim": 768, "use_linear_in_transformer": False, "adm_in_channels": None,
    },
    "SDXL": COMMON | {
        "num_res_blocks": [2, 2, 2], "channel_mult": [1, 2, 4], "num_heads": -1, "num_head_channels": 64,
        "transformer_depth": [0, 0, 2, 2, 10, 10], "transformer_depth_middle": 10,
        "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
        "context_dim": 2048, "use_linear_in_transformer": True, "adm_in_channels": 2816, "num_classes": "sequential",
    },
}  # fmt: skip
"""As ComfyUI describes them (`comfy/supported_models.py`, `comfy/model_detection.py`), but for their width."""


def unet_config(family: Family, width: int, **changes: Any) -> dict[str, Any]:
    """The family's description at `width` model channels (official: 320), with `changes` to single entries."""
    return UNETS[family] | {"model_channels": width} | changes
