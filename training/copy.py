"""The trainable copy: a ControlNet that begins as the base model's encoder and changes nothing yet."""

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..controlnet.networks.build import build_controlnet
from ..controlnet.networks.controlnet import ControlNet
from ..controlnet.networks.dimensions import HINT_STRIDES, infer_dimensions
from ..storage.weights import shapes_of

HINT_WIDTHS = (16, 16, 32, 32, 96, 96, 256)
"""Widths inside the hint encoder (lllyasviel/ControlNet `cldm/cldm.py`); the last layer has the UNet's width."""

COPIED = ("input_blocks.", "middle_block.", "time_embed.", "label_emb.")
LATENT_CHANNELS = 4


def trainable_copy(
    unet: Mapping[str, Tensor], hint_channels: int = 3, hint_widths: tuple[int, ...] = HINT_WIDTHS, seed: int = 0
) -> ControlNet:
    """Copy a base model's encoder, middle and embeddings into a new ControlNet with float32 weights.

    unet: the UNet's state dict in LDM keys. The zero convolutions and the last convolution of the hint encoder are
    zero, the other hint convolutions random by `seed` (paper, section 3.2). Raises ValueError for a UNet of another
    kind.
    """
    _check(unet)
    shapes = shapes_of({key: value for key, value in unet.items() if key.startswith(COPIED)})
    width = shapes["input_blocks.0.0.weight"][0]
    channels = (hint_channels, *hint_widths, width)
    if len(channels) != len(HINT_STRIDES) + 1:
        raise ValueError(f"A hint encoder has {len(HINT_STRIDES) - 1} inner widths, not {len(hint_widths)}.")
    for index, (before, after) in enumerate(pairwise(channels)):
        shapes[f"input_hint_block.{2 * index}.weight"] = (after, before, 3, 3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        control = ControlNet(infer_dimensions(shapes))
    copied = {key: value.float() for key, value in unet.items() if key.startswith(COPIED)}
    missing, extra = control.load_state_dict(copied, strict=False)
    absent = [key for key in missing if key.startswith(COPIED)]
    if absent or extra:
        raise ValueError(f"The UNet does not fit a ControlNet: missing {absent[:3]}, unknown {extra[:3]}.")
    for module in (control.zero_convs, control.middle_block_out, control.input_hint_block[-1]):
        _zero(module)
    return control.train().requires_grad_(True)


def continue_from(tensors: Mapping[str, Tensor]) -> ControlNet:
    """Make an existing ControlNet trainable, with float32 copies of its weights.

    tensors: a state dict in LDM keys. Raises ValueError for a union network: its hints have kinds, which the data
    do not tell.
    """
    control = build_controlnet({key: value.float().clone() for key, value in tensors.items()})
    if control.dims.union_types:
        raise ValueError("A union ControlNet cannot be trained further. Choose a ControlNet for one kind of hint.")
    return control.train().requires_grad_(True)


def _check(unet: Mapping[str, Tensor]) -> None:
    first = unet.get("input_blocks.0.0.weight")
    if first is None:
        raise ValueError(
            "ControlNets can be trained for SD1.5, SD2.x and SDXL models; this MODEL has another architecture. "
            "Load a checkpoint of one of these families."
        )
    if first.shape[1] != LATENT_CHANNELS:
        raise ValueError(
            f"This MODEL takes {first.shape[1]} channels, as inpainting models do. Load the plain model instead."
        )


@torch.no_grad()
def _zero(module: nn.Module) -> None:
    for parameter in module.parameters():
        parameter.zero_()
