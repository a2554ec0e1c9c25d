"""The command line `zeroconv`: each command is a module of this package, imported only when it is asked for."""

from __future__ import annotations

import argparse
import importlib
import io
import sys
from collections.abc import Sequence

COMMANDS = {
    "train": "train a ControlNet on image pairs",
    "inspect": "say what a model file is",
    "convert": "write a ControlNet in another layout, number format or form",
    "fetch": "fetch weights of preprocessors",
    "preprocess": "make hints of a folder of images",
    "dataset": "encode pictures and captions once, for many trainings",
}
"""Module name and what it does, in the order of the help text."""


STOPPED = 130
"""Exit status after Ctrl+C, as shells give it."""


def _print_everything() -> None:
    """Escape what the terminal cannot show, such as names in another writing, instead of ending with an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 0 good, 1 partly failed, 2 wrong usage or input, 130 stopped."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    _print_everything()
    parser = argparse.ArgumentParser(prog="zeroconv", description="ZeroConv ControlNet on the command line.")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        if name in arguments[:1]:
            importlib.import_module(f".{name}", __name__).add_parser(subparsers)
        else:
            subparsers.add_parser(name, help=summary)
    args = parser.parse_args(arguments)
    try:
        return args.run(args)
    except (OSError, ValueError, ImportError) as error:
        print(f"zeroconv {args.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nzeroconv {args.command}: stopped.", file=sys.stderr)
        return STOPPED
