"""From an official weight file to a network ready to run."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Ops(Protocol):
    """A namespace of layer classes: `torch.nn`, or ComfyUI's `comfy.ops`."""

    Linear: Any
    Conv2d: Any
    ConvTranspose2d: Any
    GroupNorm: Any
    LayerNorm: Any


def unwrap(state_dict: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a checkpoint without its training wrapper.

    Opens one dictionary named `state_dict` or `model` and drops the `module.` that DataParallel puts before names.
    """
    for wrapper in ("state_dict", "model"):
        inner = state_dict.get(wrapper)
        if isinstance(inner, Mapping):
            state_dict = inner
            break
    return {name.removeprefix("module."): value for name, value in state_dict.items() if isinstance(value, Tensor)}


def assemble(create: Callable[[], nn.Module], state_dict: Mapping[str, Tensor]) -> nn.Module:
    """Create the network without memory for its weights, then give it those of `state_dict`.

    Integer counters of batch normalization that a file leaves out are not needed to run it and are filled in.
    Returns the network in evaluation mode, without gradients.
    Raises ValueError when a weight is missing, unknown or of another shape.
    """
    with torch.device("meta"):
        network = create()
    complete = dict(state_dict)
    for name in network.state_dict():
        if name.endswith("num_batches_tracked"):
            complete.setdefault(name, torch.zeros((), dtype=torch.int64))
    try:
        network.load_state_dict(complete, strict=True, assign=True)
    except RuntimeError as error:
        raise ValueError(f"The file does not fit {type(network).__name__}: {_short(str(error))}") from error
    return network.eval().requires_grad_(False)


def channels_last(network: nn.Module) -> nn.Module:
    """Its kernels with the channels of a pixel side by side, so that its convolutions work in that order.

    The same sums; a fifth faster on processors (HED, M-LSD, line art) and what half precision wants on a GPU.
    """
    return network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def run_like(network: nn.Module, images: Tensor) -> Tensor:
    """`images` on the device and in the floating point type of the network's weights."""
    weight = next(network.parameters(), None)
    return images.float().cpu() if weight is None else images.to(device=weight.device, dtype=weight.dtype)


def device_of(network: nn.Module) -> torch.device:
    """Where a network runs: the CPU for one without weights of its own, which a runtime of its own runs."""
    weight = next(network.parameters(), None)
    return torch.device("cpu") if weight is None else weight.device


def _short(message: str, lines: int = 6) -> str:
    """The first lines of torch's report: for a wrong file it lists every key there is."""
    parts = [line.strip() for line in message.splitlines()[1:] if line.strip()]
    return " ".join(part[:200] for part in parts[:lines])
