"""Batch normalization after a convolution, multiplied into its weights once at load."""

from collections.abc import Mapping

from torch import Tensor

EPSILON = 1e-5
_STATISTICS = ("weight", "bias", "running_mean", "running_var")


def fold_batch_norms(state_dict: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the same network without its norms.

    Expects every convolution that is numbered in a sequence (`a.0`) to be followed by its norm (`a.1`), and leaves
    those with a name of their own alone. Raises ValueError where a norm is missing.
    """
    folded = dict(state_dict)
    for key, kernel in state_dict.items():
        layer, _, kind = key.rpartition(".")
        sequence, _, number = layer.rpartition(".")
        if kind == "weight" and kernel.dim() == 4 and number.isdigit():
            _fold(folded, layer, f"{sequence}.{int(number) + 1}", EPSILON)
    return folded


def fold_named_batch_norms(state_dict: Mapping[str, Tensor], epsilon: float) -> dict[str, Tensor]:
    """The same of convolutions called `conv` that have their norm `bn` beside them; the others stay as they are."""
    folded = dict(state_dict)
    for key in state_dict:
        layer, _, kind = key.rpartition(".")
        if layer.endswith(".conv") and kind == "weight" and f"{layer.removesuffix('conv')}bn.weight" in state_dict:
            _fold(folded, layer, f"{layer.removesuffix('conv')}bn", epsilon)
    return folded


def fold_transposed_batch_norm(state_dict: Mapping[str, Tensor], layer: str, norm: str, name: str) -> dict[str, Tensor]:
    """The same of one transposed convolution called `layer`, which gets another name."""
    folded = dict(state_dict)
    # Its kernel has the channels that come out second.
    folded[f"{layer}.weight"] = folded[f"{layer}.weight"].transpose(0, 1)
    _fold(folded, layer, norm, EPSILON)
    kernel, bias = folded.pop(f"{layer}.weight"), folded.pop(f"{layer}.bias")
    return {**folded, f"{name}.weight": kernel.transpose(0, 1).contiguous(), f"{name}.bias": bias}


def _fold(weights: dict[str, Tensor], layer: str, norm: str, epsilon: float) -> None:
    """Multiply a norm into the layer before it, and take it out."""
    try:
        scale, shift, mean, variance = (weights.pop(f"{norm}.{part}").double() for part in _STATISTICS)
    except KeyError as error:
        raise ValueError(f"The file does not fit: {error} of the batch normalization is missing.") from error
    weights.pop(f"{norm}.num_batches_tracked", None)
    kernel = weights[f"{layer}.weight"]
    factor = scale / (variance + epsilon).sqrt()
    bias = weights[f"{layer}.bias"].double() - mean if f"{layer}.bias" in weights else -mean
    weights[f"{layer}.weight"] = (kernel.double() * factor[:, None, None, None]).to(kernel)
    weights[f"{layer}.bias"] = (shift + bias * factor).to(kernel)
