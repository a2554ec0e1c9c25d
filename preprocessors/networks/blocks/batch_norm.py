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
        if kind != "weight" or kernel.dim() != 4 or not number.isdigit():
            continue
        norm = f"{sequence}.{int(number) + 1}"
        try:
            scale, shift, mean, variance = (folded.pop(f"{norm}.{part}").double() for part in _STATISTICS)
        except KeyError as error:
            raise ValueError(f"The file does not fit: {error} of the batch normalization is missing.") from error
        folded.pop(f"{norm}.num_batches_tracked", None)
        factor = scale / (variance + EPSILON).sqrt()
        bias = state_dict[f"{layer}.bias"].double() - mean if f"{layer}.bias" in state_dict else -mean
        folded[key] = (kernel.double() * factor[:, None, None, None]).to(kernel)
        folded[f"{layer}.bias"] = (shift + bias * factor).to(kernel)
    return folded
