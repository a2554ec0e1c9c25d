"""Load ControlNet files through ComfyUI's folders and memory management."""

import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import comfy.ldm.modules.attention as host_attention
import folder_paths
import torch
from torch import Tensor

from ...controlnet.formats import Format, load_tensors
from ...controlnet.formats.files import read_header, read_state_dict
from ...controlnet.formats.folder import is_later_shard
from ...controlnet.formats.format import ENCODER_PARTS, Build
from ...controlnet.formats.inspect import Report, inspect_file
from ...controlnet.formats.ldm import LDM
from ...controlnet.formats.pooling import find_pooling
from ...controlnet.networks.build import build_controlnet
from ...controlnet.networks.layers import Attention
from ...controlnet.strength.cfg_weights import CfgWeights
from ...storage.names import printable
from ..controls.comfy_controlnet import ComfyControlNetRunner
from ..controls.control import Control
from ..controls.controlnet import ControlNetRunner
from ..controls.ctrlora import CtrLoRARunner
from ..controls.lllite import LLLiteRunner
from ..controls.loaded_network import LoadedNetwork
from ..controls.runner import Runner
from ..controls.sparse_ctrl import SparseCtrlRunner
from ..controls.stable_cascade import StableCascadeRunner
from ..controls.t2i_adapter import T2IAdapterRunner
from .comfy_controlnet import load_comfy_controlnet
from .model_patch import build_anima, build_qwen, build_uni3c, build_z_image, load_model_patch
from .model_weights import effective_weights
from .precision import Precision, check_host_chooses, choose

FOLDER = "controlnet"
UNET = "diffusion_model."
SD2_CONTEXT = 1024
"""Width of the prompt's tokens in SD2.x."""

LoadRunner = Callable[[Format, dict[str, Tensor], str, Precision, Mapping[str, str]], Runner]
"""(format, converted tensors, name, precision, metadata of the file) -> runner. Raises ValueError."""

PoolingChoice = Literal["auto", "off", "on", "on, both prompts"]
POOLING_CHOICES: tuple[PoolingChoice, ...] = ("auto", "off", "on", "on, both prompts")


FURTHER_FOLDERS = ("model_patches", "xlabs_controlnets")
"""More of the host's folders that ControlNets lie in: model patches, and the pack x-flux-comfyui's own; where there
are any. A name that two folders have means the file of the first."""


def list_controlnets() -> list[str]:
    """Files of the host's folders for ControlNets; of a model in several parts only the first."""
    names = dict.fromkeys(name for folder in _folders() for name in folder_paths.get_filename_list(folder))
    return [name for name in names if not is_later_shard(name)]


def controlnet_file(name: str) -> str:
    """The path of a listed file. Raises FileNotFoundError."""
    for folder in _folders():
        path = folder_paths.get_full_path(folder, name)
        if path is not None:
            return path
    return folder_paths.get_full_path_or_raise(FOLDER, name)


def _folders() -> list[str]:
    return [FOLDER, *(folder for folder in FURTHER_FOLDERS if folder in folder_paths.folder_names_and_paths)]


def register_xlabs_folder() -> None:
    """Make `models/xlabs/controlnets` known to ComfyUI where it exists, as the pack does that made it."""
    folder = os.path.join(folder_paths.models_dir, "xlabs", "controlnets")
    if os.path.isdir(folder):
        folder_paths.add_model_folder_path("xlabs_controlnets", folder)


def inspect_control(name: str) -> Report:
    """Describe a file of the `controlnet` folder. Raises FileNotFoundError, or ValueError that says what was seen."""
    return inspect_file(controlnet_file(name))


def load_control(
    name: str,
    model: Any = None,
    pooling: PoolingChoice = "auto",
    precision: Precision = "auto",
    base_file: str | None = None,
) -> Control:
    """Load a control file by its name in the `controlnet` folder.

    model: a MODEL to check the family against, or None. pooling: whether residuals are replaced by their mean over
    the picture, as the shuffle network wants, by default for the positive prompt only; auto: as the file says.
    precision: to keep the weights and compute in; fp8 keeps the matrices in 8 bits and computes as the host does.
    base_file: name of the ControlNet that a CtrLoRA goes with; other kinds of files do without.
    Raises FileNotFoundError, or ValueError that names the file.
    """
    path = Path(controlnet_file(name))
    base = None if model is None else functools.partial(unet_weights, model)
    form, tensors = load_tensors(path, base, None if base_file is None else functools.partial(_read, base_file))
    metadata = read_header(path).metadata
    try:
        control = control_from_tensors(tensors, printable(path.stem), precision, form, metadata)
        if model is not None:
            control.runner.check_base_model(model.model)
    except ValueError as error:
        raise ValueError(f"'{printable(name)}': {error}") from error
    return _pooled(control, path, metadata, pooling) if form.kind == "controlnet" else control


def _read(name: str) -> dict[str, Tensor]:
    return read_state_dict(controlnet_file(name))


def unet_weights(model: Any) -> dict[str, Tensor]:
    """The weights that a ControlNet shares with a MODEL's UNet, in LDM keys, with the LoRAs that the MODEL carries.

    So core's ControlLora takes it too; whether the LoRAs are in the weights at this moment makes no difference.
    """
    names = tuple(UNET + part for part in ENCODER_PARTS)
    weights = effective_weights(model, lambda key: key.startswith(names))
    return {key.removeprefix(UNET): weight for key, weight in weights}


def control_from_tensors(
    tensors: dict[str, Tensor],
    name: str = "ControlNet",
    precision: Precision = "auto",
    form: Format = LDM,
    metadata: Mapping[str, str] | None = None,
) -> Control:
    """A control from the converted tensors of a format, by default a ControlNet in LDM keys.

    tensors: taken over: the table holds them as they are kept afterwards. metadata: of their file. Raises ValueError
    when they do not fit the format, or this ComfyUI cannot run them.
    """
    return Control(RUNNERS[form.kind](form, tensors, name, precision, metadata or {}))


def load_network(
    tensors: dict[str, Tensor], name: str = "ControlNet", precision: Precision = "auto", build: Build = build_controlnet
) -> LoadedNetwork[Any]:
    """Build the network of converted tensors, by default of a ControlNet in LDM keys, from the host's own layers.

    tensors: as of `control_from_tensors`.
    """
    choice = choose(tensors, precision)
    network = build(choice.cast(tensors), choice.ops, _attention(upcast=_is_sd2(tensors)))
    return LoadedNetwork.wrap(name, network, choice.compute, choice.device)


def _of_ours(runner: Callable[[LoadedNetwork[Any]], Runner]) -> LoadRunner:
    """Load a network that is built by its format."""

    def load(
        form: Format, tensors: dict[str, Tensor], name: str, precision: Precision, metadata: Mapping[str, str]
    ) -> Runner:
        return runner(load_network(tensors, name, precision, form.build or build_controlnet))

    return load


def _of_comfy(load: Callable[[Format, dict[str, Tensor], str, Mapping[str, str]], Runner]) -> LoadRunner:
    """Load a network that is ComfyUI's own."""

    def load_with_precision(
        form: Format, tensors: dict[str, Tensor], name: str, precision: Precision, metadata: Mapping[str, str]
    ) -> Runner:
        check_host_chooses(precision)
        return load(form, tensors, name, metadata)

    return load_with_precision


RUNNERS: dict[str, LoadRunner] = {
    "controlnet": _of_ours(ControlNetRunner),
    "ctrlora": _of_ours(CtrLoRARunner),
    "sparse_ctrl": _of_ours(SparseCtrlRunner),
    "t2i_adapter": _of_ours(T2IAdapterRunner),
    "lllite": _of_ours(LLLiteRunner),
    "comfy_controlnet": _of_comfy(functools.partial(load_comfy_controlnet, ComfyControlNetRunner)),
    "stable_cascade": _of_comfy(functools.partial(load_comfy_controlnet, StableCascadeRunner)),
    "qwen_blockwise": _of_comfy(functools.partial(load_model_patch, build_qwen)),
    "z_image": _of_comfy(functools.partial(load_model_patch, build_z_image)),
    "anima_lllite": _of_comfy(functools.partial(load_model_patch, build_anima)),
    "uni3c": _of_comfy(functools.partial(load_model_patch, build_uni3c)),
}
"""The one way from a format (its `kind`) to a control."""


def _pooled(control: Control, path: Path, metadata: Mapping[str, str], choice: PoolingChoice) -> Control:
    """Set the rule of the shuffle network, as chosen or as found."""
    found = find_pooling(path, metadata).pooled if choice == "auto" else choice != "off"
    control.global_average_pooling = found
    if not found or choice == "on, both prompts":
        return control
    return control.with_settings(factors=replace(control.settings.factors, cfg_weights=CfgWeights(1, 0)))


def _is_sd2(tensors: dict[str, Tensor]) -> bool:
    """Whether the prompt has the width of SD2.x."""
    return any(key.endswith("attn2.to_k.weight") and value.shape[1] == SD2_CONTEXT for key, value in tensors.items())


def _attention(upcast: bool) -> Attention:
    """The host's attention; on a CPU PyTorch's fused one, twice as fast as the host's default there.

    upcast: compute in float32, which SD2.x needs (its logits overflow float16; core's `attn_precision`).
    """
    precision = torch.float32 if upcast else None

    def attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
        cpu = q.device.type == "cpu"
        function = host_attention.attention_pytorch if cpu else host_attention.optimized_attention
        return function(q, k, v, heads, attn_precision=precision)

    return attention
