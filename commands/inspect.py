"""`zeroconv inspect`: say what ControlNet files are."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ..controlnet.formats.inspect import inspect_file
from ..storage.reading import sha256_of


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser("inspect", help="say what a model file is", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, for programs")
    parser.add_argument("--sha256", action="store_true", help="also the file's hash, which reads all of it")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Return 0 when every file was recognised, 1 otherwise."""
    failures = 0
    for path in args.files:
        try:
            report = inspect_file(path)
        except (OSError, ValueError) as error:
            failures += 1
            print(json.dumps({"file": path.name, "error": str(error)}) if args.json else str(error), file=sys.stderr)
            continue
        digest = {"sha256": sha256_of(path)} if args.sha256 else {}
        if args.json:
            print(json.dumps({**report.as_dict(), **digest}))
        else:
            print("\n".join([str(report), *(f"SHA-256: {value}" for value in digest.values())]))
    return 1 if failures else 0
