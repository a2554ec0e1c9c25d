"""`zeroconv train run.toml`: train a ControlNet without the canvas, on one GPU or, by `accelerate launch`, several.

With several: `accelerate launch -m zeroconv.commands train run.toml`. Every process computes `batch` samples, so the
batch of a step is as many times larger. Weights are replicated (DDP) or, with `--use_fsdp`, shared out over the
processes like gradients and optimizer. The format of run.toml is described in `training/plan.py`.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..training.loop import Trainer
    from ..training.plan import Plan
    from ..training.processes import Processes
    from ..training.recorder import Recorder


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "train",
        help="train a ControlNet on image pairs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("plan", type=Path, help="the TOML file that describes the training")
    parser.add_argument("--check", action="store_true", help="only read the plan and list the pairs")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Return 0 when the training is complete, 1 when it was stopped; its state is saved either way."""
    from ..training.layouts import read_folder
    from ..training.plan import read_plan
    from ..training.processes import launched_processes
    from ..training.recorder import summary

    plan = read_plan(args.plan)
    listing = read_folder(plan.dataset)
    processes = launched_processes()
    if processes.main:
        print(f"{listing.layout}: {summary(listing.problems, len(listing.pairs))}")
    if args.check:
        return 0
    trainer, recorder = _set_up(plan, processes)
    if recorder.begin(trainer, plan.resume) and processes.main:
        print(f"Going on after step {trainer.step}.")
    finished = trainer.run()
    if processes.main:
        print(f"{'Finished' if finished else 'Stopped'} after step {trainer.step}: {recorder.places.network}")
    return processes.finish(0 if finished else 1)


def _set_up(plan: Plan, processes: Processes) -> tuple[Trainer, Recorder]:
    from ..controlnet.formats import load_ldm_state_dict
    from ..training.cache import Cache
    from ..training.copy import continue_from, trainable_copy
    from ..training.dataset import Preparation, prepare_pairs
    from ..training.layouts import read_folder
    from ..training.loop import Trainer
    from ..training.recorder import Places, describe
    from ..training.samples import Strip, take_examples

    base, maker = _load_base(plan), _maker(plan)
    pairs = [replace(pair, hint=None) if maker else pair for pair in read_folder(plan.dataset).pairs]
    cache = Cache(plan.output / "cache")
    dataset = prepare_pairs(base, pairs, Preparation(plan.resolution, plan.flip, maker), cache, _report(processes))
    if plan.start:
        control = continue_from(load_ldm_state_dict(plan.start))
    else:
        control = trainable_copy(base.unet_weights(), seed=plan.settings.seed)
    places = Places.of(plan.name, plan.output, plan.output)
    description = describe(base, len(dataset), plan.license)
    recorder = _printing(places, description, Strip(base, take_examples(dataset), plan.sampling), maker)
    return Trainer(base, control, dataset, plan.settings, recorder, processes), recorder


def _load_base(plan: Plan) -> Any:
    """The checkpoint, loaded by the ComfyUI that the plan names."""
    if not (plan.comfyui / "comfy" / "sd.py").is_file():
        raise FileNotFoundError(f"No ComfyUI in '{plan.comfyui}'. Give its folder as comfyui in the plan.")
    if not plan.checkpoint.is_file():
        raise FileNotFoundError(f"There is no checkpoint '{plan.checkpoint}'.")
    sys.path.insert(0, str(plan.comfyui))
    import comfy.cli_args
    import torch

    # ComfyUI reads its own arguments at import, and takes a GPU for granted without this one.
    comfy.cli_args.args.cpu = not (torch.cuda.is_available() or torch.backends.mps.is_available())
    import comfy.sd

    from ..host.training.base_model import ComfyBase

    model, clip, vae = comfy.sd.load_checkpoint_guess_config(str(plan.checkpoint))[:3]
    return ComfyBase(model, clip, vae, checkpointing=plan.settings.gradient_checkpointing)


def _maker(plan: Plan) -> Any:
    if not plan.hints:
        return None
    from ..host.training.train import hint_maker

    return hint_maker(plan.hints)


def _report(processes: Processes) -> Any:
    def report(done: int, total: int) -> None:
        if processes.main and (done % 100 == 0 or done == total):
            print(f"encoded {done} of {total}", flush=True)

    return report


def _printing(*arguments: Any) -> Recorder:
    """A recorder that prints, and stops at Ctrl+C after the step in progress."""
    import signal

    from ..training.progress import WINDOW, Progress
    from ..training.recorder import Recorder

    class Printing(Recorder):
        stop = False

        def stepped(self, progress: Progress) -> None:
            super().stepped(progress)
            if progress.step % WINDOW == 0 or progress.step == progress.steps:
                print(progress, flush=True)

        def interrupted(self) -> bool:
            return self.stop

    recorder = Printing(*arguments)

    def stop(number: int, frame: object) -> None:
        recorder.stop = True

    signal.signal(signal.SIGINT, stop)
    return recorder
