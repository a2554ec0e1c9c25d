"""The training loop.

    control = trainable_copy(base.unet_weights())
    trainer = Trainer(base, control, dataset, Settings(steps=2000, batch=8), callbacks)
    finished = trainer.run()                      # False: interrupted
    save_controlnet(path, trainer.weights(), ...)

To go on later: build the same trainer and `trainer.restore(load_state(path))` before `run`; on a CPU the result is
bit-identical to that of an uninterrupted run. `dataset` is anything with the three methods of `batches.Dataset`.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ..controlnet.networks.controlnet import ControlNet, Inputs
from ..controlnet.residuals import Residuals
from .base import BaseModel, Interrupted, Prompt
from .batches import Dataset
from .ema import Ema
from .objective import denoising_loss, draw
from .optimizer import make_optimizer
from .order import Order
from .processes import Processes
from .progress import Callbacks, Meter
from .settings import Settings


class TrainingDiverged(RuntimeError):
    """The loss or its gradient is no number any more. No step was made with it, and nothing was saved."""


class Evaluation(nn.Module):
    """The whole network as one call, as data-parallel wrappers need it."""

    def __init__(self, control: ControlNet) -> None:
        super().__init__()
        self.control = control

    def forward(
        self, x: Tensor, timesteps: Tensor, hints: Tensor, prompts: Prompt
    ) -> tuple[tuple[Tensor, ...], Tensor]:
        """Residuals of the skips, and of the middle. Shapes as in `controlnet.network`."""
        inputs = Inputs(x, timesteps, prompts.vector)
        projected = self.control.project_context(prompts.context)
        residuals = self.control(inputs, self.control.embed_hint(hints), projected)
        return residuals.output, residuals.middle[0]


class Trainer:
    """Trains a ControlNet against a frozen base model.

    `step`: optimizer steps done. The weights of `control` are float32 and change in place.
    """

    def __init__(
        self,
        base: BaseModel,
        control: ControlNet,
        dataset: Dataset,
        settings: Settings,
        callbacks: Callbacks | None = None,
        processes: Processes | None = None,
    ) -> None:
        self.base, self.dataset, self.settings = base, dataset, settings
        self.callbacks, self.processes = callbacks or Callbacks(), processes or Processes()
        self.control = control.to(base.device)
        control.gradient_checkpointing = settings.gradient_checkpointing
        control.zero_convs.requires_grad_(not settings.only_middle)
        if self.processes.sharded and (settings.precision == "float16" or settings.optimizer != "adamw"):
            raise ValueError("Training through FSDP needs the precision bfloat16 or float32, and the optimizer adamw.")
        self._model = self.processes.prepare(Evaluation(control))
        self._parameters = [p for p in control.parameters() if p.requires_grad]
        self._optimizer = make_optimizer(self._parameters, settings)
        self._scaler = torch.amp.GradScaler(base.device.type, enabled=settings.precision == "float16")
        self._order = Order(
            [dataset.size(i) for i in range(len(dataset))], settings.batch * self.processes.count, settings.seed
        )
        self.ema = Ema(control, settings.ema_decay) if settings.ema_decay else None
        self.step = 0

    def run(self) -> bool:
        """Train to `settings.steps`. Returns False when interrupted, after `callbacks.save`.

        Raises TrainingDiverged when the loss is no number.
        """
        try:
            self._train()
        except Interrupted:
            self.callbacks.save(self)
            return False
        return True

    def _train(self) -> None:
        settings, meter = self.settings, Meter()
        if self.step == 0:
            self._sample()
        self.base.prepare("train")
        while self.step < settings.steps:
            loss = self._advance()
            self.callbacks.stepped(meter.read(self.step, settings.steps, loss))
            if self._due(settings.save_every):
                self.callbacks.save(self)
            if self._due(settings.sample_every):
                self._sample()
                self.base.prepare("train")

    def _sample(self) -> None:
        """Raises Interrupted in all processes when one of them was interrupted."""
        stopped = False
        try:
            self.callbacks.sample(self)
        except Interrupted:
            stopped = True
        if self.processes.any(stopped):
            raise Interrupted

    def _due(self, every: int) -> bool:
        return self.step == self.settings.steps or (bool(every) and self.step % every == 0)

    def _advance(self) -> float:
        """One optimizer step: its loss. Raises Interrupted before anything has changed."""
        settings, losses = self.settings, []
        self._optimizer.zero_grad(set_to_none=True)
        for number in range(settings.gradient_accumulation_steps):
            if self.processes.any(self.callbacks.interrupted()):
                raise Interrupted
            with self.processes.passing(self._model, last=number == settings.gradient_accumulation_steps - 1):
                loss = self._loss(self.step * settings.gradient_accumulation_steps + number)
                self._scaler.scale(loss / settings.gradient_accumulation_steps).backward()
            losses.append(loss.detach())
        mean = self.processes.mean(torch.stack(losses).mean().item())
        self._check(mean, "loss")
        self._update()
        return mean

    def _loss(self, group_number: int) -> Tensor:
        """This process's loss on its part of a group."""
        settings, base = self.settings, self.base
        group = self._order.group(group_number)
        ours = range(self.processes.index * settings.batch, (self.processes.index + 1) * settings.batch)
        batch = self.dataset.batch([group[i] for i in ours])
        numbers = [group_number * len(group) + i for i in ours]
        steps = len(base.schedule.alphas_cumprod)
        draws = draw(settings.objective, settings.seed, numbers, batch.latents.shape[1:], steps).to(base.device)
        batch = batch.to(base.device)
        prompts = batch.prompts.replace(draws.empty, batch.empty.rows(len(numbers)))
        hints = batch.hints * ~draws.blank[:, None, None, None]
        x = base.schedule.add_noise(batch.latents, draws.noise, draws.timesteps)
        with torch.autocast(base.device.type, settings.dtype, enabled=settings.dtype != torch.float32):
            skips, middle = self._model(x, draws.timesteps, hints, prompts)
        prediction = base.predict(x, draws.timesteps, prompts, Residuals(skips, (middle,)))
        return denoising_loss(settings.objective, base.schedule, prediction, batch.latents, draws)

    def _update(self) -> None:
        settings = self.settings
        for group in self._optimizer.param_groups:
            group["lr"] = settings.learning_rate_at(self.step)
        self._scaler.unscale_(self._optimizer)
        norm = self.processes.whole(nn.utils.clip_grad_norm_(self._parameters, settings.max_grad_norm or math.inf))
        if not self._scaler.is_enabled():  # a scaler skips such steps by itself, and lowers its scale
            self._check(norm.item(), "gradient")
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self.step += 1
        if self.ema:
            self.ema.update(self.control, self.step)

    def _check(self, value: float, what: str) -> None:
        if not math.isfinite(value):
            raise TrainingDiverged(
                f"The {what} became {value} in step {self.step + 1}; the last saved state is kept. "
                f"Go on from it with a learning_rate below {self.settings.learning_rate:g}, or with precision float32."
            )

    @contextmanager
    def network(self) -> Iterator[ControlNet]:
        """The network that is sampled: with the averaged weights if there are any. Every process must ask."""
        if self.processes.sharded:
            weights = self.weights()
            with torch.device("meta"):
                network = ControlNet(self.control.dims)
            network.load_state_dict(weights, assign=True)
            yield network
        elif self.ema:
            with self.ema.applied(self.control):
                yield self.control
        else:
            yield self.control

    def weights(self) -> dict[str, Tensor]:
        """The ControlNet's state dict in LDM keys, averaged if they are. Every process must ask."""
        return self.processes.whole(dict(self.ema.weights if self.ema else self.control.state_dict()))

    def state(self) -> dict[str, Any]:
        """All that `restore` needs; the tensors may be those of the running training. Every process must ask."""
        return {
            "step": self.step,
            "base": self.base.fingerprint,
            "control": self.processes.whole(dict(self.control.state_dict())),
            "optimizer": self.processes.whole(self._optimizer.state_dict()),
            "ema": self.processes.whole(self.ema.weights) if self.ema else {},
            "scaler": self._scaler.state_dict(),
            "random": {"seed": self.settings.seed},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken. Raises ValueError when it belongs to another base model or seed."""
        if state["base"] != self.base.fingerprint:
            raise ValueError(
                "The saved training is of another base model. Load that checkpoint, or train under a new name."
            )
        if state["random"]["seed"] != self.settings.seed:
            raise ValueError(
                f"The saved training has the seed {state['random']['seed']}, not {self.settings.seed}. "
                "Set it, or train under a new name."
            )
        self.control.load_state_dict(self._parts(state["control"]))
        self._optimizer.load_state_dict(self._optimizer_parts(state["optimizer"]))
        if self.ema:
            self.ema.load(self._parts(state["ema"] or state["control"]))
        if state["scaler"]:
            self._scaler.load_state_dict(state["scaler"])
        self.step = state["step"]

    def _parts(self, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        like = self.control.state_dict()
        return {key: self.processes.part(value, like[key]) for key, value in weights.items()}

    def _optimizer_parts(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """The optimizer's state; what has the shape of its parameter is shared out as that is."""
        kept = {
            index: {
                name: self.processes.part(value, like) if getattr(value, "shape", None) == like.shape else value
                for name, value in values.items()
            }
            for index, values in state["state"].items()
            for like in (self._parameters[index],)
        }
        return {**state, "state": kept}
