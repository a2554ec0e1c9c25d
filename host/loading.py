"""Load ControlNet files through ComfyUI's folders and memory management."""

from pathlib import Path
from typing import Any

import comfy.ldm.modules.attention as host_attention
import comfy.model_management
import comfy.ops
import folder_paths
import torch
from torch import Tensor

from ..controlnet.build import build_controlnet
from ..controlnet.dimensions import infer_dimensions
from ..controlnet.formats import load_ldm_state_dict
from ..controlnet.formats.inspect import Report, inspect_file
from ..controlnet.layers import Attention, Options
from .control import LoadedNetwork, ZeroConvControl, check_family

FOLDER = "controlnet"


def list_controlnets() -> list[str]:
    """Files of the host's `controlnet` folders."""
    return folder_paths.get_filename_list(FOLDER)


def inspect_control(name: str) -> Report:
    """Describe a file of the `controlnet` folder. Raises FileNotFoundError, or ValueError that says what was seen."""
    return inspect_file(folder_paths.get_full_path_or_raise(FOLDER, name))


def load_control(name: str, model: Any = None) -> ZeroConvControl:
    """Load a ControlNet file by its name in the `controlnet` folder.

    model: a MODEL to check the family against, or None. Raises FileNotFoundError, or ValueError that names the file.
    """
    path = Path(folder_paths.get_full_path_or_raise(FOLDER, name))
    base = None if model is None else model.model.diffusion_model.state_dict
    tensors = load_ldm_state_dict(path, base)
    try:
        loaded = build_loaded(tensors, path.stem)
    except ValueError as error:
        raise ValueError(f"'{name}': {error}") from error
    if model is not None:
        check_family(loaded.network, model.model.model_config.unet_config)
    control = ZeroConvControl(loaded)
    # The tensors of the shuffle network do not tell that it is pooled; core goes by the name as well.
    control.global_average_pooling = path.stem.removesuffix("_fp16").endswith("_shuffle")
    return control


def build_loaded(tensors: dict[str, Tensor], name: str = "ControlNet") -> LoadedNetwork:
    """Build the network of a state dict in LDM keys, in the dtype and from the layers that the host chooses."""
    management = comfy.model_management
    stored = next(iter(tensors.values())).dtype
    weight_dtype = management.unet_dtype(model_params=-1, weight_dtype=stored)
    load_device = management.get_torch_device()
    cast_dtype = management.unet_manual_cast(weight_dtype, load_device)
    ops = comfy.ops.pick_operations(weight_dtype, cast_dtype)
    dims = infer_dimensions({key: tuple(value.shape) for key, value in tensors.items()})
    weights = {key: value.to(weight_dtype) for key, value in tensors.items()}
    network = build_controlnet(weights, ops, _attention(upcast=dims.context_dim == 1024))
    return LoadedNetwork.wrap(name, network, cast_dtype or weight_dtype, load_device)


def _attention(upcast: bool) -> Attention:
    """The host's attention; on a CPU PyTorch's fused one, twice as fast as the host's default there.

    upcast: compute in float32, which SD2.x needs (its logits overflow float16; core's `attn_precision`).
    """
    precision = torch.float32 if upcast else None

    def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, options: Options) -> Tensor:
        cpu = q.device.type == "cpu"
        function = host_attention.attention_pytorch if cpu else host_attention.optimized_attention
        return function(q, k, v, heads, attn_precision=precision, transformer_options=options)

    return attention
