"""Recognises what a folder offers to train on: pairs of files, or a prepared data set."""

from dataclasses import replace
from pathlib import Path

from ...datasets.manifest import is_prepared
from .dataset import Preparation, TrainingSource
from .layouts import read_folder
from .prepared import PreparedSource


def source_of_folder(folder: Path, preparation: Preparation) -> TrainingSource | PreparedSource:
    """The pairs in a folder; with a hint maker its own hints are not used. Raises ValueError when it holds none."""
    if is_prepared(folder):
        return PreparedSource(folder, replace(preparation, hint_maker=None))
    return pairs_of_folder(folder, preparation)


def pairs_of_folder(folder: Path, preparation: Preparation) -> TrainingSource:
    """The pairs of files in a folder, which are to be encoded. Raises ValueError when it holds none."""
    listing = read_folder(folder)
    pairs = [replace(pair, hint=None) for pair in listing.pairs] if preparation.hint_maker else listing.pairs
    return TrainingSource(pairs, preparation, listing.problems)
