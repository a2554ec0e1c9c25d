"""The weights that a MODEL, CLIP or VAE computes with: those of its file, with its LoRAs."""

from collections.abc import Callable, Iterator
from typing import Any

import comfy.lora
import torch
from torch import Tensor


@torch.no_grad()
def effective_weights(patcher: Any, wanted: Callable[[str], bool] | None = None) -> Iterator[tuple[str, Tensor]]:
    """Names and weights with all patches applied, whether or not they are in the model at this moment.

    patcher: the host's ModelPatcher. wanted: which names; None: all. Patched weights are float32 and exact, where the
    host rounds them to the model's own precision.
    """
    for key, (original, *patches) in patcher.get_key_patches().items():
        if wanted is not None and not wanted(key):
            continue
        weight, convert = original
        if patches:
            weight = convert(weight.detach().to(torch.float32, copy=True), inplace=True)
            weight = comfy.lora.calculate_weight(patches, weight, key)
        yield key, weight.detach()
