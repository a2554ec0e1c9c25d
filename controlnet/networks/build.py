"""Make the network that a state dict describes."""

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from ...storage.weights import shapes_of
from .controlnet import ControlNet
from .ctrlora import CtrLoRANetwork
from .dimensions import Dimensions, infer_dimensions
from .layers import Attention, Ops, torch_attention
from .sparse_ctrl import SparseControlNet
from .union import UnionControlNet

Network = TypeVar("Network", bound=nn.Module)


def build_controlnet(
    state_dict: Mapping[str, Tensor], ops: Ops = nn, attention: Attention = torch_attention
) -> ControlNet:
    """Make the ControlNet that a state dict in LDM keys describes, around the very tensors given (no copy).

    Raises ValueError when keys are missing or left over.
    """
    dims = infer_dimensions(shapes_of(state_dict))
    return _build(UnionControlNet if dims.union_types else ControlNet, dims, state_dict, ops, attention)


def build_ctrlora(
    state_dict: Mapping[str, Tensor], ops: Ops = nn, attention: Attention = torch_attention
) -> ControlNet:
    """The same for a CtrLoRA that is merged with its base."""
    dims = infer_dimensions(shapes_of(state_dict))
    return _build(CtrLoRANetwork, dims, state_dict, ops, attention)


def build_sparse_ctrl(
    state_dict: Mapping[str, Tensor], ops: Ops = nn, attention: Attention = torch_attention
) -> ControlNet:
    """The same for a SparseCtrl."""
    dims = infer_dimensions(shapes_of(state_dict))
    return _build(SparseControlNet, dims, state_dict, ops, attention)


def _build(
    kind: type[ControlNet], dims: Dimensions, state_dict: Mapping[str, Tensor], ops: Ops, attention: Attention
) -> ControlNet:
    with torch.device("meta"):
        network = kind(dims, ops, attention)
    return fill(network, state_dict, "ControlNet")


def fill(network: Network, state_dict: Mapping[str, Tensor], what: str) -> Network:
    """Put the very tensors given (no copy) into a network made on the meta device, for evaluation only.

    what: the kind of network, for messages. Raises ValueError when a key is missing or left over, or has another
    shape.
    """
    expected = network.state_dict()
    missing, extra = sorted(expected.keys() - state_dict.keys()), sorted(state_dict.keys() - expected.keys())
    if missing or extra:
        raise ValueError(
            f"This {what} file does not fit its own shape: {_some('missing', missing)}{_some('unknown', extra)}."
        )
    wrong = [key for key, value in expected.items() if value.shape != state_dict[key].shape]
    if wrong:
        raise ValueError(f"This {what} file has tensors of an unexpected shape: {_some('', wrong)}.")
    network.load_state_dict(dict(state_dict), strict=True, assign=True)
    return network.eval().requires_grad_(False)


def _some(what: str, keys: list[str]) -> str:
    shown = ", ".join(keys[:3]) + (", ..." if len(keys) > 3 else "")
    return f"{len(keys)} {what} tensors ({shown}) " if keys else ""
