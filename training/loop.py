"""The training loop.

    control = trainable_copy(base.unet_weights())
    trainer = Trainer(base, control, dataset, Settings(steps=2000, batch=8), callbacks)
    finished = trainer.run()                      # False: interrupted
    save_controlnet(path, trainer.weights(), ...)

To continue later, build the same trainer and call `trainer.restore(load_state(path))` before `run`; on a CPU the
result is bit-identical to that of an uninterrupted run. `dataset` is anything with the methods of
`batches.Dataset`. `setup.set_up` builds a trainer together with its data set and its files.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from ..controlnet.networks.controlnet import ControlNet
from .base import BaseModel, Interrupted
from .callbacks import Callbacks
from .learner import Learner, TrainingDiverged
from .objective import denoising_loss, draw
from .pairs.batches import Dataset
from .pairs.order import Order
from .pairs.reading import BatchStream
from .processes import Processes
from .report.progress import Meter
from .settings import Settings

__all__ = ["Trainer", "TrainingDiverged"]


class Trainer:
    """Trains a ControlNet against a frozen base model. The weights of `control` are float32 and change in place."""

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
        self._learner = Learner(control, settings, self.processes, base.device)
        sizes = [dataset.size(index) for index in range(len(dataset))]
        order = Order(sizes, settings.batch * self.processes.count, settings.seed)
        part = range(self.processes.index * settings.batch, (self.processes.index + 1) * settings.batch)
        self._group_size, self._part = settings.batch * self.processes.count, part
        self._batches = BatchStream(dataset, order, part, settings.workers)

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        return self._learner.step

    @property
    def control(self) -> ControlNet:
        """The network in training; in one of several FSDP processes, its part of it."""
        return self._learner.control

    def run(self) -> bool:
        """Train to `settings.steps`. Returns False when interrupted, after `callbacks.save`.

        Raises TrainingDiverged when the loss or its gradient is NaN or infinite.
        """
        try:
            self._train()
        except Interrupted:
            self.callbacks.save(self)
            return False
        finally:
            self._batches.close()
        return True

    def _train(self) -> None:
        settings, meter = self.settings, Meter()
        first = self.step == 0 and settings.sample_every > 0
        lacking = self._due(settings.sample_every) and self.callbacks.lacks_sample(self.step)
        if first or self.processes.any(self.processes.main and lacking):
            self._sample()
        self.base.prepare("train")
        while self.step < settings.steps:
            loss = self._advance()
            self.callbacks.stepped(meter.read(self.step, settings.steps, loss, self._batches.waited))
            if self._due(settings.save_every):
                self.callbacks.save(self)
            if self._due(settings.sample_every):
                self._sample()
                self.base.prepare("train")

    def _due(self, every: int) -> bool:
        return self.step == self.settings.steps or (bool(every) and self.step % every == 0)

    def _advance(self) -> float:
        """One optimizer step: its loss. Raises Interrupted before anything has changed."""
        learner, passes, losses = self._learner, self.settings.gradient_accumulation_steps, []
        learner.start_step()
        for number in range(passes):
            if self.processes.any(self.callbacks.interrupted()):
                raise Interrupted
            with learner.accumulating(last=number == passes - 1):
                loss = self._loss(self.step * passes + number)
                learner.add_gradient(loss / passes)
            losses.append(loss.detach())
        mean = self.processes.mean(torch.stack(losses).mean().item())
        learner.check_finite(mean, "loss")
        learner.update()
        return mean

    def _loss(self, group_number: int) -> Tensor:
        """The loss of this process's part of a group."""
        settings, base, schedule = self.settings, self.base, self.base.schedule
        batch = self._batches.batch(group_number)
        numbers = [group_number * self._group_size + place for place in self._part]
        timestep_count = len(schedule.alphas_cumprod)
        draws = draw(settings.objective, settings.seed, numbers, batch.latents.shape[1:], timestep_count)
        draws, batch = draws.to(base.device), batch.to(base.device)
        prompts = batch.prompts.replace(draws.empty, batch.empty.rows(len(numbers)))
        hints = batch.hints * ~draws.blank[:, None, None, None]
        x = schedule.add_noise(batch.latents, draws.noise, draws.timesteps)
        residuals = self._learner.residuals(x, draws.timesteps, hints, prompts)
        prediction = base.predict(x, draws.timesteps, prompts, residuals)
        return denoising_loss(settings.objective, schedule, prediction, batch.latents, draws)

    def _sample(self) -> None:
        """Raises Interrupted in all processes when one of them was interrupted."""
        stopped = False
        try:
            self.callbacks.sample(self)
        except Interrupted:
            stopped = True
        if self.processes.any(stopped):
            raise Interrupted

    def network(self) -> AbstractContextManager[ControlNet]:
        """The network to sample with, with averaged weights if there are any. Every process must call it."""
        return self._learner.network()

    def weights(self) -> dict[str, Tensor]:
        """The ControlNet's state dict in LDM keys, averaged if averaging is on. Every process must call it."""
        return self._learner.weights()

    def state(self) -> dict[str, Any]:
        """All that `restore` needs; the tensors may be those of the running training. Every process must call it."""
        random = {"seed": self.settings.seed}
        return {"step": self.step, "base": self.base.fingerprint, "random": random, **self._learner.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken.

        Raises ValueError when it belongs to another base model, seed or network.
        """
        if state["base"] != self.base.fingerprint:
            raise ValueError("it was made with another base model. Load that checkpoint, or train under a new name.")
        seed = state["random"]["seed"]
        if seed != self.settings.seed:
            raise ValueError(f"it has the seed {seed}, not {self.settings.seed}. Set it, or train under a new name.")
        self._learner.restore(state, state["step"])
