"""Load ControlNet files through ComfyUI's folders and memory management."""

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import comfy.ldm.modules.attention as host_attention
import folder_paths
import torch
from torch import Tensor

from ...controlnet.formats import load_tensors
from ...controlnet.formats.files import read_header, read_state_dict
from ...controlnet.formats.folder import is_later_shard
from ...controlnet.formats.inspect import Report, inspect_file
from ...controlnet.formats.pooling import find_pooling
from ...controlnet.networks.build import build_controlnet
from ...controlnet.networks.controlnet import ControlNet
from ...controlnet.networks.dimensions import infer_dimensions
from ...controlnet.networks.hint_only import CtrLoRANetwork, SparseControlNet
from ...controlnet.networks.layers import Attention, Options
from ...controlnet.networks.lllite import build_lllite
from ...controlnet.networks.t2i_adapter import build_t2i_adapter
from ...controlnet.strength.control_mode import CfgWeights
from ...storage.names import printable
from ...storage.weights import shapes_of
from ..controls import t2i_adapter as adapter
from ..controls.control import ShapedControl
from ..controls.controlnet import ZeroConvControl, check_family
from ..controls.hint_only import CtrLoRAControl, SparseControl
from ..controls.lllite import LLLiteControl, check_base
from ..controls.loaded_network import LoadedNetwork
from ..controls.t2i_adapter import AdapterControl
from .comfy_controlnet import load_wrapped
from .model_patch import load_model_patch
from .precision import Precision, check_host_chooses, choose

FOLDER = "controlnet"

PoolingChoice = Literal["auto", "off", "on", "on, both sides"]
POOLING_CHOICES: tuple[PoolingChoice, ...] = ("auto", "off", "on", "on, both sides")


def list_controlnets() -> list[str]:
    """Files of the host's `controlnet` folders; of a model in several parts only the first."""
    return [name for name in folder_paths.get_filename_list(FOLDER) if not is_later_shard(name)]


def inspect_control(name: str) -> Report:
    """Describe a file of the `controlnet` folder. Raises FileNotFoundError, or ValueError that says what was seen."""
    return inspect_file(folder_paths.get_full_path_or_raise(FOLDER, name))


def load_control(
    name: str,
    model: Any = None,
    pooling: PoolingChoice = "auto",
    precision: Precision = "auto",
    base_file: str | None = None,
) -> ShapedControl:
    """Load a control file by its name in the `controlnet` folder.

    model: a MODEL to check the family against, or None. pooling: whether residuals are replaced by their mean over
    the picture, as the shuffle network wants, by default on the prompt's side only; auto: as the file says.
    precision: to keep the weights and compute in; fp8 keeps the matrices in 8 bits and computes as the host does.
    base_file: name of the ControlNet that a CtrLoRA goes with; other kinds of files do without.
    Raises FileNotFoundError, or ValueError that names the file.
    """
    path = Path(folder_paths.get_full_path_or_raise(FOLDER, name))
    base = None if model is None else functools.partial(unet_weights, model)
    form, tensors = load_tensors(path, base, None if base_file is None else functools.partial(_read, base_file))
    base_model = None if model is None else model.model
    try:
        if form.network in HOST_LOADERS:
            check_host_chooses(precision)
            control = HOST_LOADERS[form.network](tensors, printable(path.stem), base_model)
        else:
            control = LOADERS[form.network](tensors, printable(path.stem), base_model, precision)
    except ValueError as error:
        raise ValueError(f"'{printable(name)}': {error}") from error
    return _pooled(control, path, pooling) if form.network == "controlnet" else control


def _read(name: str) -> dict[str, Tensor]:
    return read_state_dict(folder_paths.get_full_path_or_raise(FOLDER, name))


def unet_weights(model: Any) -> dict[str, Tensor]:
    """The UNet of a MODEL in LDM keys, without the LoRAs that may be patched into it at this moment."""
    weights = dict(model.model.diffusion_model.state_dict())
    prefix = "diffusion_model."
    for key, entry in model.backup.items():
        if key.startswith(prefix):
            weights[key.removeprefix(prefix)] = entry.weight
    return weights


def build_loaded(
    tensors: dict[str, Tensor], name: str = "ControlNet", precision: Precision = "auto"
) -> LoadedNetwork[ControlNet]:
    """Build the network of a state dict in LDM keys, from the layers that the host chooses."""
    dims = infer_dimensions(shapes_of(tensors))
    choice = choose(tensors, precision)
    network = build_controlnet(choice.cast(tensors), choice.ops, _attention(upcast=dims.context_dim == 1024))
    return LoadedNetwork.wrap(name, network, choice.compute, choice.device)


def _load_controlnet(tensors: dict[str, Tensor], name: str, model: Any, precision: Precision) -> ShapedControl:
    loaded = build_loaded(tensors, name, precision)
    if model is not None:
        check_family(loaded.network, model.model_config.unet_config)
    return CONTROLS.get(type(loaded.network), ZeroConvControl)(loaded)


CONTROLS = {CtrLoRANetwork: CtrLoRAControl, SparseControlNet: SparseControl}
"""Of our ControlNets that are more than one."""


def _load_adapter(tensors: dict[str, Tensor], name: str, model: Any, precision: Precision) -> ShapedControl:
    choice = choose(tensors, precision)
    network = build_t2i_adapter(choice.cast(tensors), choice.ops)
    if model is not None:
        adapter.check_family(network, model.model_config.unet_config)
    return AdapterControl(LoadedNetwork.wrap(name, network, choice.compute, choice.device))


def _load_lllite(tensors: dict[str, Tensor], name: str, model: Any, precision: Precision) -> ShapedControl:
    choice = choose(tensors, precision)
    network = build_lllite(choice.cast(tensors), choice.ops)
    if model is not None:
        check_base(network, model)
    return LLLiteControl(LoadedNetwork.wrap(name, network, choice.compute, choice.device))


LOADERS: dict[str, Callable[[dict[str, Tensor], str, Any, Precision], ShapedControl]] = {
    "controlnet": _load_controlnet,
    "ctrlora": _load_controlnet,
    "sparse-ctrl": _load_controlnet,
    "t2i-adapter": _load_adapter,
    "lllite": _load_lllite,
}
"""By the network of ours that runs a format: (tensors, name, base model or None, precision) -> control."""

HOST_LOADERS: dict[str, Callable[[dict[str, Tensor], str, Any], ShapedControl]] = {
    "host": load_wrapped,
    "patch": load_model_patch,
}
"""The same for networks of the host."""


def _pooled(control: ShapedControl, path: Path, choice: PoolingChoice) -> ShapedControl:
    """Set the rule of the shuffle network, as chosen or as found."""
    found = find_pooling(path, read_header(path).metadata).pooled if choice == "auto" else choice != "off"
    control.global_average_pooling = found
    if found and choice != "on, both sides":
        control.factors = replace(control.factors, cfg_weights=CfgWeights(1, 0))
    return control


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
