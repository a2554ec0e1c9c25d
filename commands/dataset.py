"""`zeroconv dataset run.toml FOLDER`: encode pictures and captions once, into shards that trainings take as they are.

FOLDER gets latents, hints and prompts in shards, the list of pairs, and a manifest with sizes and hashes. It is then
the `dataset` of a run.toml, or a folder for the Train node, on any machine with the same checkpoint. The same command
goes on after a stop. With several GPUs:
`accelerate launch --multi_gpu --num_processes 8 -m zeroconv dataset run.toml FOLDER`.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser(
        "dataset",
        help="encode pictures and captions once, for many trainings",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("plan", type=Path, help="the TOML file of a training: base model, pairs, resolution, hints")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="for the result")
    parser.add_argument("--verify", action="store_true", help="only compare the files in FOLDER with their hashes")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Return 0 when all pairs are encoded, 1 when some were skipped, or files are damaged."""
    if args.verify:
        return _verify(args.folder)
    from ..training.pairs.dataset import Preparation
    from ..training.pairs.prepared import write_prepared
    from ..training.pairs.sources import pairs_of_folder
    from ..training.plan import read_plan
    from ..training.processes import launched_processes
    from .progress_bar import EncodingBar
    from .train import hint_maker_of, load_base

    plan = read_plan(args.plan)
    processes = launched_processes()
    base = load_base(plan)
    preparation = replace(Preparation(plan.resolution, plan.flip), hint_maker=hint_maker_of(plan))
    source = pairs_of_folder(plan.dataset, preparation)
    if processes.main:
        print(source.summary(), flush=True)
    bar = EncodingBar(shown=processes.main)
    try:
        count, problems = write_prepared(base, source, args.folder, plan.checkpoint.name, bar.report, processes)
    finally:
        bar.close()
    if processes.main:
        for problem in problems:
            print(problem, file=sys.stderr)
        print(f"{args.folder}: {count} pairs, {len([*source.problems, *problems])} skipped")
    return processes.finish(1 if problems else 0)


def _verify(folder: Path) -> int:
    from ..datasets.manifest import damaged_files

    damaged = damaged_files(folder)
    for name in damaged:
        print(f"{name} is damaged: copy it again, or delete it and make the set again.", file=sys.stderr)
    print(f"{len(damaged)} files are damaged" if damaged else "All files are whole.")
    return 1 if damaged else 0
