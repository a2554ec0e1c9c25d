"""The noise level of the evaluation that is going on, read from the device once for all who ask for it."""

import copy
import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

NOISE_LEVEL_OPTION = "zeroconv_noise_level"
"""Key under which the step cache hands its `NoiseLevel` to the controls, which read the same number."""

MIDDLE = 0.5
"""Where two functions of the fraction of the timesteps are compared."""


class NoiseLevel:
    """Known as soon as a control has read it; otherwise read when it is asked for."""

    def __init__(self) -> None:
        self._waiting: list[Tensor] = []
        self.sigma = 0.0
        self.levels: tuple[float, ...] = ()
        """Those of all steps of the sampling, falling."""

    def begin(self, sigma: Tensor, levels: Tensor | None) -> None:
        """A new evaluation. sigma: (rows,). levels: of all steps, where the host tells them."""
        self._waiting = [sigma.flatten()[:1], *([] if levels is None or self.levels else [levels])]

    def note(self, sigma: float, levels: tuple[float, ...]) -> None:
        """Somebody has read them."""
        self.sigma, self.levels, self._waiting = sigma, levels or self.levels, []

    def read(self) -> float:
        """The noise level of this evaluation."""
        if self._waiting:
            device = self._waiting[0].device
            sigma, *levels = torch.cat([value.to(device, torch.float32) for value in self._waiting]).tolist()
            self.note(sigma, tuple(levels))
        return self.sigma


def without_device(model_sampling: Any, percent_to_sigma: Callable[[float], float]) -> Callable[[float], float]:
    """`percent_to_sigma` computed on the CPU: the host's reads a value from the device at every call.

    model_sampling: the host's, whose function it is; another pack's function is left as it is. The last bit may differ
    where a GPU rounds in another way.
    """
    if not isinstance(model_sampling, torch.nn.Module) or not hasattr(model_sampling, "percent_to_sigma"):
        return percent_to_sigma
    buffers = list(model_sampling.buffers())
    if all(buffer.device.type == "cpu" for buffer in buffers):
        return percent_to_sigma
    twin: Any = copy.deepcopy(model_sampling).to("cpu")
    on_cpu = functools.cache(twin.percent_to_sigma)
    same = math.isclose(on_cpu(MIDDLE), percent_to_sigma(MIDDLE), rel_tol=1e-4)
    return on_cpu if same else percent_to_sigma


def on_device(model_sampling: Any, device: torch.device) -> Any:
    """The host's `model_sampling` with its tables on the device: a base model that does not fit leaves them on the CPU,
    and every look into them would read a value."""
    if not isinstance(model_sampling, torch.nn.Module):
        return model_sampling
    if all(buffer.device == device for buffer in model_sampling.buffers()):
        return model_sampling
    return copy.deepcopy(model_sampling).to(device)
