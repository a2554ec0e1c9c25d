"""`zeroconv train run.toml`: train a ControlNet without the canvas, on one GPU or, by `accelerate launch`, several.

With several: `accelerate launch --multi_gpu --num_processes 8 -m zeroconv train run.toml`. Every process computes
`batch` pairs, so the batch of a step is as many times larger. Weights are replicated (DDP) or, with `--use_fsdp`,
distributed over the processes like gradients and optimizer (FSDP, which needs PyTorch 2.6). The format of run.toml is
described in `training/plan.py`.
"""

from __future__ import annotations

import argparse
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .progress_bar import EncodingBar

if TYPE_CHECKING:
    from PIL import Image

    from ..training.pairs.dataset import HintMaker
    from ..training.plan import Plan
    from ..training.report.progress import Progress


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "train",
        help="train a ControlNet on image pairs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("plan", type=Path, help="the TOML file that describes the training")
    parser.add_argument(
        "--check",
        action="store_true",
        help="list the pairs, measure a few steps and say what all takes; nothing is written",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Return 0 when the training is complete, 1 when it was stopped; its state is saved either way."""
    from ..training.pairs.dataset import Preparation
    from ..training.pairs.sources import source_of_folder
    from ..training.plan import read_plan
    from ..training.processes import launched_processes
    from ..training.rehearsal import rehearse
    from ..training.setup import Job, set_up

    plan = read_plan(args.plan)
    preparation = Preparation(plan.resolution, plan.flip)
    source = source_of_folder(plan.dataset, preparation)
    processes = launched_processes()
    if processes.main:
        print(source.summary())
    base = load_base(plan)
    source = source_of_folder(plan.dataset, replace(preparation, hint_maker=hint_maker_of(plan)))
    job = Job(plan.name, plan.output, plan.output, plan.settings, plan.start, plan.resume, plan.license, plan.sampling)
    if args.check:
        rehearsal = rehearse(base, source, job, processes)
        if processes.main:
            print(rehearsal)
        return processes.finish(0)
    display = ConsoleDisplay(speaks=processes.main)
    with processes.noticing_loss():
        training = set_up(base, source, job, display, processes)
        trainer = training.trainer
        display.stop_when_asked()
        if training.resumed and processes.main:
            print(f"Continuing after step {trainer.step}.")
        finished = trainer.run()
    if processes.main:
        print(f"{'Finished' if finished else 'Stopped'} after step {trainer.step}: {training.recorder.paths.network}")
    return processes.finish(0 if finished else 1)


class ConsoleDisplay:
    """Prints progress, and stops when asked after the step in progress. speaks: of several processes only one does."""

    def __init__(self, speaks: bool) -> None:
        self._speaks, self._stop = speaks, False
        self._encoding = EncodingBar(speaks)

    def stop_when_asked(self) -> None:
        """From now on Ctrl+C, and the SIGTERM of a scheduler, end the training after its step, and save it."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._interrupt)

    def encoded(self, done: int, total: int) -> None:
        self._encoding.report(done, total)

    def stepped(self, progress: Progress) -> None:
        from ..training.report.progress import WINDOW

        if self._speaks and (progress.step % WINDOW == 0 or progress.step == progress.steps):
            print(progress, flush=True)

    def sampled(self, step: int, strip: Image.Image) -> None:
        """The strip lies in the training's folder."""

    def interrupted(self) -> bool:
        """Whether Ctrl+C was pressed, or the process was told to end."""
        return self._stop

    def _interrupt(self, number: int, frame: object) -> None:
        self._stop = True


def load_base(plan: Plan) -> Any:
    """The checkpoint, loaded by the ComfyUI that the plan names."""
    from ..host.start import start_comfyui

    start_comfyui(plan.comfyui)
    from ..host.loading.checkpoint import load_checkpoint
    from ..host.training.base_model import ComfyBase

    return ComfyBase(*load_checkpoint(plan.checkpoint), checkpointing=plan.settings.gradient_checkpointing)


def hint_maker_of(plan: Plan) -> HintMaker | None:
    """The preprocessor that makes the hints; None where the pairs have them."""
    if not plan.hints:
        return None
    from ..host.training.pairs import hint_maker

    return hint_maker(plan.hints)
