"""The ControlNet in training: its weights, its optimizer and its averaged weights, over all processes."""

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter

from ..controlnet.networks.controlnet import ControlNet, Inputs
from ..controlnet.residuals import Residuals
from .base import Prompt
from .ema import Ema
from .processes import Processes
from .settings import Settings

PARTS = ("control", "optimizer", "ema", "scaler")
"""The parts of a learner in a saved state."""


class TrainingDiverged(RuntimeError):
    """The loss or its gradient is NaN or infinite. That step was not made, and nothing was saved."""


class ForwardPass(nn.Module):
    """The whole network as one call, which is what data-parallel wrappers need."""

    def __init__(self, control: ControlNet) -> None:
        super().__init__()
        self.control = control

    def forward(
        self, x: Tensor, timesteps: Tensor, hints: Tensor, prompts: Prompt
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Residuals of the skip connections, and of the middle block. Shapes as in `controlnet.networks.controlnet`."""
        inputs = Inputs(x, timesteps, prompts.vector)
        projected = self.control.project_context(prompts.context)
        residuals = self.control(inputs, self.control.embed_hint(hints), projected)
        return residuals.output, residuals.middle[0]


class Learner:
    """Changes the weights of a ControlNet in place, one optimizer step at a time.

    `control`: float32 weights on the device of training. `step`: optimizer steps done.
    """

    def __init__(self, control: ControlNet, settings: Settings, processes: Processes, device: torch.device) -> None:
        """Raises ValueError for settings that do not work with FSDP."""
        if processes.sharded and (settings.precision == "float16" or settings.optimizer != "adamw"):
            raise ValueError("Training through FSDP needs the precision bfloat16 or float32, and the optimizer adamw.")
        self.control, self.step = control.to(device), 0
        self._settings, self._processes, self._device = settings, processes, device
        control.gradient_checkpointing = settings.gradient_checkpointing
        control.zero_convs.requires_grad_(not settings.only_middle)
        self._model = processes.prepare(ForwardPass(control))
        self._parameters = [p for p in control.parameters() if p.requires_grad]
        self._optimizer = make_optimizer(
            self._parameters, settings, fused=device.type == "cuda" and not processes.sharded
        )
        self._scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "float16")
        self._ema = Ema(control, settings.ema_decay) if settings.ema_decay else None

    def residuals(self, x: Tensor, timesteps: Tensor, hints: Tensor, prompts: Prompt) -> Residuals:
        """The network's output in the precision of the settings, with gradients."""
        settings = self._settings
        with torch.autocast(self._device.type, settings.dtype, enabled=settings.dtype != torch.float32):
            skips, middle = self._model(x, timesteps, hints, prompts)
        return Residuals(skips, (middle,))

    def start_step(self) -> None:
        """Forget the gradients of the step before."""
        self._optimizer.zero_grad(set_to_none=True)

    def accumulating(self, last: bool) -> AbstractContextManager[Any]:
        """Wraps one pass of a step; gradients are exchanged between processes in the last pass only."""
        return self._processes.accumulating(self._model, last)

    def add_gradient(self, loss: Tensor) -> None:
        """Add the gradient of a loss to those of the step."""
        self._scaler.scale(loss).backward()

    def update(self) -> None:
        """Make the step. Raises TrainingDiverged before anything has changed."""
        settings = self._settings
        for group in self._optimizer.param_groups:
            group["lr"] = settings.learning_rate_at(self.step)
        self._scaler.unscale_(self._optimizer)
        norm = self._processes.whole(nn.utils.clip_grad_norm_(self._parameters, settings.max_grad_norm or math.inf))
        if not self._scaler.is_enabled():  # a scaler skips such steps by itself, and lowers its scale
            self.check_finite(norm.item(), "gradient")
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self.step += 1
        if self._ema:
            self._ema.update(self.control, self.step)

    def check_finite(self, value: float, name: str) -> None:
        """Raise TrainingDiverged for NaN and infinity."""
        if not math.isfinite(value):
            raise TrainingDiverged(
                f"The {name} became {value} in step {self.step + 1}; the last saved state is kept. Continue from it "
                f"with a learning_rate below {self._settings.learning_rate:g}, or with precision float32."
            )

    @contextmanager
    def network(self) -> Iterator[ControlNet]:
        """The network to sample with, with averaged weights if there are any. Every process must call it."""
        if self._processes.sharded:
            weights = self.weights()
            with torch.device("meta"):
                network = ControlNet(self.control.dims)
            network.load_state_dict(weights, assign=True)
            yield network
        elif self._ema:
            with self._ema.applied(self.control):
                yield self.control
        else:
            yield self.control

    def weights(self) -> dict[str, Tensor]:
        """The state dict in LDM keys, averaged if averaging is on. Every process must call it."""
        return self._processes.whole(dict(self._ema.weights if self._ema else self.control.state_dict()))

    def state(self) -> dict[str, Any]:
        """`PARTS`, by name; the tensors may be those of the running training. Every process must call it."""
        return {
            "control": self._processes.whole(dict(self.control.state_dict())),
            "optimizer": self._processes.whole(self._optimizer.state_dict()),
            "ema": self._processes.whole(self._ema.weights) if self._ema else {},
            "scaler": self._scaler.state_dict(),
        }

    def restore(self, state: Mapping[str, Any], step: int) -> None:
        """Continue where `state` was taken. Raises ValueError when it does not fit this network."""
        weights = self.control.state_dict()
        for name in ("control", "ema"):
            if state[name] or name == "control":
                _check_same_shapes(state[name], weights)
        try:
            self._optimizer.load_state_dict(self._distributed_optimizer(state["optimizer"]))
            if state["scaler"]:
                self._scaler.load_state_dict(state["scaler"])
        except (KeyError, IndexError, TypeError, AttributeError, ValueError, RuntimeError) as error:
            raise ValueError("its optimizer is not that of this ControlNet. Train under a new name.") from error
        self.control.load_state_dict(self._distributed(state["control"]))
        if self._ema:
            self._ema.load(self._distributed(state["ema"] or state["control"]))
        self.step = step

    def _distributed(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """This process's parts of whole weights."""
        like = self.control.state_dict()
        return {key: self._processes.part(value, like[key]) for key, value in weights.items()}

    def _distributed_optimizer(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """The optimizer's state; what has the shape of its parameter is distributed as the parameter is."""
        moments = {
            index: {
                name: self._processes.part(value, like) if getattr(value, "shape", None) == like.shape else value
                for name, value in values.items()
            }
            for index, values in state["state"].items()
            for like in (self._parameters[index],)
        }
        return {**state, "state": moments}


def make_optimizer(parameters: Iterable[Parameter], settings: Settings, fused: bool = False) -> torch.optim.Optimizer:
    """AdamW as in the paper, or its 8-bit form. Raises ValueError when `bitsandbytes` is needed and not installed.

    fused: one kernel a tensor, on a GPU. PyTorch's default there makes a temporary copy as large as all weights.
    """
    options: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(parameters, fused=fused or None, **options)
    try:
        import bitsandbytes.optim as eight_bit  # optional, and slow to import
    except ImportError as error:
        raise ValueError(
            f"The optimizer {settings.optimizer} needs the package bitsandbytes. "
            "Install it (pip install bitsandbytes), or choose adamw."
        ) from error
    classes = {"adamw8bit": eight_bit.AdamW8bit, "paged_adamw8bit": eight_bit.PagedAdamW8bit}
    return classes[settings.optimizer](parameters, **options)


def _check_same_shapes(saved: Any, weights: Mapping[str, Tensor]) -> None:
    """Raises ValueError when saved weights are not those of this network."""
    fits = (
        isinstance(saved, Mapping)
        and saved.keys() == weights.keys()
        and all(getattr(saved[key], "shape", None) == value.shape for key, value in weights.items())
    )
    if not fits:
        raise ValueError("its weights are not those of this ControlNet. Train under a new name.")
