"""Trains the demonstration's ControlNets with the training room, on hints that the renderer knows exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...training.base import Prompt
from ...training.callbacks import Callbacks, RunningTraining
from ...training.copy import trainable_copy
from ...training.loop import Trainer
from ...training.objective import Objective
from ...training.pairs.batches import Batch, TensorDataset
from ...training.report.progress import Progress
from ...training.settings import Settings
from ...training.state import load_state, save_state
from ..model.autoencoder import encode
from ..model.narrow_model import DemoModel
from ..model.text import encode_captions
from ..scenes.hints import HINTS
from ..scenes.render import render
from ..scenes.world import Scenes, captions, draw_scenes, is_held_out

HINT_WIDTHS = (8, 8, 16, 16, 32, 32, 64)
"""Inside the hint encoder: half the usual or less, as everything here is narrow."""
CONTINUED = {"depth": "scribble"}
"""Kinds that go on from another kind's ControlNet: a depth map is smooth, and from zero its few steep places were not
found in 2,400 steps."""
SEED = 3_000_000
SAVE_STEPS, REPORT_STEPS = 100, 25


@dataclass(frozen=True)
class ControlOptions:
    """kind: a name in `hints.HINTS`. scenes: in the data set, of which `pair_share` (0..1) have two objects."""

    kind: str
    steps: int = 4000
    batch: int = 8
    scenes: int = 2048
    pair_share: float = 0.3


class _Console(Callbacks):
    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name

    def stepped(self, progress: Progress) -> None:
        if progress.step % REPORT_STEPS == 0:
            print(f"{self._name}: {progress}", flush=True)

    def save(self, training: RunningTraining) -> None:
        save_state(training.state(), self._path)


def control_scenes(options: ControlOptions) -> Scenes:
    """The scenes of the data set: none has a held-out caption."""
    scenes = draw_scenes(options.scenes, SEED, options.pair_share)
    return scenes[torch.tensor([index for index, name in enumerate(captions(scenes)) if not is_held_out(name)])]


def control_dataset(options: ControlOptions) -> TensorDataset:
    """Latents, hints (in bytes) and prompts of all scenes, in memory."""
    scenes = control_scenes(options)
    latents: list[Tensor] = []
    hints: list[Tensor] = []
    for rows in torch.arange(len(scenes)).split(8):
        rendering = render(scenes[rows])
        latents.append(encode(rendering.image))
        hints.append(HINTS[options.kind](rendering).mul(255).round().byte())
    names = captions(scenes)
    number = {name: index for index, name in enumerate(sorted(set(names)))}
    samples = Batch(
        torch.cat(latents), torch.cat(hints), Prompt(encode_captions(list(number))), Prompt(encode_captions([""]))
    )
    return TensorDataset(samples, torch.tensor([number[name] for name in names]))


def control_trainer(
    model: DemoModel, options: ControlOptions, state: Path, start: Mapping[str, Tensor] | None = None
) -> Trainer:
    """A trainer that goes on where the file `state` was written, if there is one.

    start: weights of a trained ControlNet to begin with, instead of zero convolutions.
    """
    settings = Settings(
        steps=options.steps,
        batch=options.batch,
        learning_rate=1e-3,
        warmup=50,
        objective=Objective(prompt_dropout=0.3, weighting="velocity", snr_gamma=10.0),
        precision="bfloat16",
        ema_decay=0.995,
        save_every=SAVE_STEPS,
        sample_every=0,
    )
    control = trainable_copy(model.unet_weights(), hint_widths=HINT_WIDTHS)
    if start is not None:
        control.load_state_dict(start)
    trainer = Trainer(model, control, control_dataset(options), settings, _Console(state, options.kind))
    if state.exists():
        trainer.restore(load_state(state))
    return trainer
